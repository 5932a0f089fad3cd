import type { Gateway } from './gateway.ts';

/** Every table as text, as a thief of the database would read it. */
export async function dump({ db }: Gateway): Promise<string> {
  const tables = await db.sql<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`,
  );
  const texts = await Promise.all(
    tables.map(async ({ name }) => {
      const rows = await db.sql(`SELECT * FROM ${name}`);
      return JSON.stringify(rows, (_key, value: unknown) => toText(value));
    }),
  );
  return texts.join('\n');
}

function toText(value: unknown): unknown {
  const bytes = value as { type?: unknown; data?: unknown } | null;
  return bytes?.type === 'Buffer' ? Buffer.from(bytes.data as number[]).toString('latin1') : value;
}
