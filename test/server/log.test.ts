import { Writable } from 'node:stream';
import { expect } from 'chai';
import { createLogger } from '../../server/log.ts';
import { openTestDatabase } from '../support/database.ts';

describe('the log', () => {
  it('[S61] [S23] says which rule a row failed, and nothing of the row or the statement', async () => {
    const lines: string[] = [];
    const stream = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        lines.push(chunk.toString());
        done();
      },
    });
    const log = createLogger('error', stream);
    const db = await openTestDatabase();
    const values = ['a-secret-hash', 'default'];
    const INSERT = 'INSERT INTO tenants (id, name, created_at) VALUES (7, $1 || $2, NULL)';
    const failures: Promise<unknown>[] = [
      db.sql(INSERT, values),
      db.transaction(({ em }) => em.query<unknown>(INSERT, values)),
    ];
    for (const failure of failures) {
      const err = await failure.catch((error: unknown) => error);
      log.error({ err }, 'request failed');
      log.error({ err: new Error('outer', { cause: err }) }, 'event failed');
    }
    await db.close();
    expect(lines).to.have.length(4);
    const { err } = JSON.parse(lines[0]!) as { err: Record<string, unknown> };
    expect(err).to.include({ table: 'tenants', errorCode: '23502' });
    expect(err['stack']).to.be.a('string');
    for (const line of lines)
      expect(line).to.include('null value in column').and.not.include('a-secret-hash');
    for (const line of lines) expect(line).not.to.match(/"(detail|where|parameters|query)"/);
  });

  it('leaves text where an error was expected as it is', () => {
    let line = '';
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        line += chunk.toString();
        done();
      },
    });
    createLogger('warn', stream).warn({ err: 'words' }, 'told');
    expect(JSON.parse(line)).to.include({ err: 'words', msg: 'told' });
  });
});
