import type { Gateway } from './gateway.ts';

/** What transactions ask of the database from now on. */
export function watchStatements(gateway: Gateway): { statements: string[]; stop: () => void } {
  const statements: string[] = [];
  const { db } = gateway;
  const transaction = db.transaction.bind(db);
  const stop = (): void => void (db.transaction = transaction);
  db.transaction = (work) =>
    transaction(({ sql, em }) =>
      work({
        em,
        sql: (text, values) => {
          statements.push(text);
          return sql(text, values);
        },
      }),
    );
  return { statements, stop };
}
