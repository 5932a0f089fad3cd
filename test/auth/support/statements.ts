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

/** The statements that a piece of work sends to the database, in their order; what other work sends meanwhile is among them. */
export async function statementsOf(gateway: Gateway, work: () => Promise<unknown>): Promise<string[]> {
  const { core } = gateway.identity;
  const { db } = core;
  const statements: string[] = [];
  const record =
    (sql: typeof db.sql): typeof db.sql =>
    (text, values) => {
      statements.push(text);
      return sql(text, values);
    };
  core.db = {
    ...db,
    sql: record(db.sql),
    transaction: (inside) => db.transaction((tx) => inside({ ...tx, sql: record(tx.sql) })),
  };
  try {
    await work();
  } finally {
    core.db = db;
  }
  return statements;
}
