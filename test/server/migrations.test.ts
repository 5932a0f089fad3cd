import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { expect } from 'chai';
import { openTestDatabase } from '../support/database.ts';

const FOLDER = new URL('../../migrations/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8');

/** SHA-256 of each migration's text, whichever line ends a checkout gave it. */
function checksums(): Record<string, string> {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.ts'));
  return Object.fromEntries(
    files
      .sort()
      .map((name) => [name, createHash('sha256').update(read(name).replaceAll('\r\n', '\n')).digest('hex')]),
  );
}

describe('migrations', () => {
  it('are as they have landed: a change of one is a new one, listed in migrations/checksums.json', () => {
    expect(checksums()).to.deep.equal(JSON.parse(read('checksums.json')));
  });

  it('run in the order of their names, each under its own', async () => {
    const db = await openTestDatabase();
    const rows = await db.sql<{ name: string }>('SELECT name FROM schema_migrations ORDER BY id');
    await db.close();
    const stamps = Object.keys(checksums()).map((name) => name.split('-')[0]);
    expect(rows.map(({ name }) => /\d+$/.exec(name)?.[0])).to.deep.equal(stamps);
  });
});

describe('the audit table', () => {
  /** Statements of a role that owns the table and is no superuser, each undone again. */
  async function answersTo(statements: string[]): Promise<string[]> {
    const db = await openTestDatabase();
    const answers: string[] = [];
    const undone = db.transaction(async ({ sql }) => {
      await sql(`INSERT INTO audit_logs (tenant_id, action, success) VALUES (1, 'test', true)`);
      await sql('CREATE ROLE sluice_test_owner NOSUPERUSER');
      await sql('ALTER TABLE audit_logs OWNER TO sluice_test_owner');
      await sql('SET LOCAL ROLE sluice_test_owner');
      for (const statement of statements) {
        await sql('SAVEPOINT before');
        const answer = await sql(statement).catch((error: unknown) => (error as Error).message);
        answers.push(typeof answer === 'string' ? answer : 'done');
        if (typeof answer === 'string') await sql('ROLLBACK TO before');
      }
      throw new Error('undone');
    });
    await undone.catch((error: unknown) => expect(error).to.include({ message: 'undone' }));
    await db.close();
    return answers;
  }

  it('[S62] refuses its own owner, who cannot suspend the trigger for a session either', async () => {
    const refused = 'audit_logs is append-only';
    const answers = await answersTo([
      'SET LOCAL session_replication_role = replica',
      `UPDATE audit_logs SET success = false`,
      'DELETE FROM audit_logs WHERE false',
      'TRUNCATE audit_logs',
    ]);
    expect(answers[0]).to.match(/permission denied/);
    expect(answers.slice(1)).to.deep.equal([refused, refused, refused]);
  });

  it('[S62] costs nothing a row: the trigger is not asked about inserts', async () => {
    const db = await openTestDatabase();
    const rows = await db.sql<{ events: string; level: string }>(
      `SELECT string_agg(event_manipulation, ' ' ORDER BY event_manipulation) AS events, action_orientation AS level
       FROM information_schema.triggers WHERE event_object_table = 'audit_logs' GROUP BY 2`,
    );
    await db.close();
    expect(rows).to.deep.equal([{ events: 'DELETE UPDATE', level: 'STATEMENT' }]);
  });

  it('is thinned out by its owner alone, on purpose (docs/OPERATIONS.md)', async () => {
    const answers = await answersTo([
      'ALTER TABLE audit_logs DISABLE TRIGGER audit_logs_append_only',
      `DELETE FROM audit_logs WHERE at < now() - interval '2 years'`,
      'ALTER TABLE audit_logs ENABLE TRIGGER audit_logs_append_only',
      'DELETE FROM audit_logs',
    ]);
    expect(answers).to.deep.equal(['done', 'done', 'done', 'audit_logs is append-only']);
  });
});
