import { get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { expect } from 'chai';
import { SMTPServer } from 'smtp-server';
import { JobRefused, startJobs } from '../../server/jobs.ts';
import type { JobHandler, Jobs } from '../../server/jobs.ts';
import { createSecretBox } from '../../server/auth/secret-box.ts';
import { createLogger } from '../../server/log.ts';
import { openTestDatabase } from '../support/database.ts';
import { call, createPerson, signUp } from './support/client.ts';
import { createClock, startGateway } from './support/gateway.ts';

/** A real SMTP server that keeps what it gets. */
async function startSmtp(
  port = 0,
  refuse = false,
): Promise<{ port: number; mails: string[]; close(): Promise<void> }> {
  const mails: string[] = [];
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    onRcptTo: (_address, _session, done) =>
      refuse ? done(Object.assign(new Error('no such mailbox'), { responseCode: 550 })) : done(),
    onData(stream, _session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        mails.push(Buffer.concat(chunks).toString());
        done();
      });
    },
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    port: (server.server.address() as AddressInfo).port,
    mails,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A request as a page would make it whose name was made to resolve to this machine. */
function statusWithHost(url: string, path: string, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get(new URL(path, url), { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on('error', reject);
  });
}

describe('mail', () => {
  it('goes to the mail server, in plain text and HTML, with headers nobody can inject', async () => {
    const smtp = await startSmtp();
    const env = { SMTP_SERVER: '127.0.0.1', SMTP_PORT: String(smtp.port), FROM_EMAIL: 'sluice@example.com' };
    const gateway = await startGateway({ env });
    await signUp(gateway, { username: 'bob', email: 'bob@example.com' });
    await gateway.identity.core.jobs.drain();
    const dev = await call(gateway, '/dev/mail');
    await gateway.close();
    await smtp.close();
    const [mail] = smtp.mails;
    expect(smtp.mails).to.have.length(1);
    expect(mail).to.include('To: bob@example.com').and.include('text/plain').and.include('text/html');
    expect(mail).to.match(/Subject: Your Sluice code is \d{6}/);
    expect(dev.status).to.equal(404);
  });

  it('waits for a dead mail server and loses nothing', async () => {
    const port = await freePort();
    const gateway = await startGateway({ env: { SMTP_SERVER: '127.0.0.1', SMTP_PORT: String(port) } });
    await signUp(gateway, { username: 'bob', email: 'bob@example.com' });
    await gateway.identity.core.jobs.drain();
    const [waiting] = await gateway.db.sql<{ attempts: number; last_error: string }>('SELECT * FROM jobs');
    const smtp = await startSmtp(port);
    gateway.clock.advance(60_000);
    await gateway.identity.core.jobs.drain();
    const left = await gateway.db.sql('SELECT 1 FROM jobs');
    await gateway.close();
    await smtp.close();
    expect(waiting!.attempts).to.equal(1);
    expect(waiting!.last_error).to.include('ECONNREFUSED');
    expect([smtp.mails.length, left.length]).to.deep.equal([1, 0]);
  });

  it('that the server refuses for good is given up visibly, and its content is erased', async () => {
    const smtp = await startSmtp(0, true);
    const gateway = await startGateway({ env: { SMTP_SERVER: '127.0.0.1', SMTP_PORT: String(smtp.port) } });
    await signUp(gateway);
    await gateway.identity.core.jobs.drain();
    const [job] = await gateway.db.sql<{ failed_at: Date | null; payload: Buffer; last_error: string }>(
      'SELECT * FROM jobs',
    );
    await gateway.close();
    await smtp.close();
    expect(job!.failed_at).to.be.instanceOf(Date);
    expect([job!.payload.length, job!.last_error]).to.deep.equal([0, 'the mail server refused it: 550']);
  });

  it('without a mail server is printed and kept for GET /dev/mail, on a loopback HOST only', async () => {
    const gateway = await startGateway();
    const open = await startGateway({ env: { HOST: '0.0.0.0' } });
    const person = await createPerson(gateway);
    const kept = await call(gateway, '/dev/mail');
    const outside = await call(open, '/dev/mail');
    const rebound = await statusWithHost(gateway.url, '/dev/mail', 'evil.example');
    await gateway.close();
    await open.close();
    const [mail] = kept.body['mails'] as { to: string; text: string; html: string }[];
    expect(mail).to.include.keys('to', 'subject', 'text', 'html', 'at').and.include({ to: person.email });
    expect([outside.status, rebound]).to.deep.equal([404, 404]);
  });
});

describe('jobs', () => {
  const box = createSecretBox('a key for the jobs of this test, 44');
  const setUp = async (
    handler: JobHandler,
  ): Promise<{
    jobs: Jobs[];
    db: Awaited<ReturnType<typeof openTestDatabase>>;
    clock: ReturnType<typeof createClock>;
  }> => {
    const db = await openTestDatabase();
    const clock = createClock();
    const log = createLogger('silent');
    const start = (): Jobs => startJobs({ db, box, log, clock, handlers: { note: handler }, pollMs: 60_000 });
    return { db, clock, jobs: [start(), start()] };
  };
  const closeAll = async ({ db, jobs }: Awaited<ReturnType<typeof setUp>>): Promise<void> => {
    await Promise.all(jobs.map((job) => job.close()));
    await db.close();
  };

  it('happen once, though two nodes look for them', async () => {
    const done: unknown[] = [];
    const set = await setUp((payload) => Promise.resolve(void done.push(payload)));
    for (let i = 0; i < 30; i += 1)
      await set.jobs[0]!.enqueue(set.db.sql, { tenantId: 1, kind: 'note', payload: i });
    await Promise.all(set.jobs.map((jobs) => jobs.drain()));
    await Promise.all(set.jobs.map((jobs) => jobs.drain()));
    await closeAll(set);
    expect([done.length, new Set(done).size]).to.deep.equal([30, 30]);
  });

  it('whose cause is rolled back never happen', async () => {
    const done: unknown[] = [];
    const set = await setUp((payload) => Promise.resolve(void done.push(payload)));
    await set.db
      .transaction(async ({ sql }) => {
        await set.jobs[0]!.enqueue(sql, { tenantId: 1, kind: 'note', payload: 1 });
        throw new Error('rolled back');
      })
      .catch(() => undefined);
    await set.jobs[0]!.drain();
    await closeAll(set);
    expect(done).to.deep.equal([]);
  });

  it('are taken over when a worker dies, which then cannot finish them', async () => {
    const set = await setUp(() => Promise.resolve());
    await set.jobs[0]!.enqueue(set.db.sql, { tenantId: 1, kind: 'note', payload: 1 });
    const dead = '11111111-1111-4111-8111-111111111111';
    await set.db.sql(`UPDATE jobs SET lease_id = $1, leased_until = now() + interval '2 minutes'`, [dead]);
    await set.jobs[1]!.drain();
    const held = await set.db.sql('SELECT 1 FROM jobs');
    set.clock.advance(121_000);
    await set.jobs[1]!.drain();
    const left = await set.db.sql('SELECT 1 FROM jobs');
    await closeAll(set);
    expect([held.length, left.length]).to.deep.equal([1, 0]);
  });

  it('that fail are tried again later and later; a refusal is final', async () => {
    let tries = 0;
    const set = await setUp(() => {
      tries += 1;
      return Promise.reject(tries < 4 ? new Error('not yet') : new JobRefused('never'));
    });
    await set.jobs[0]!.enqueue(set.db.sql, { tenantId: 1, kind: 'note', payload: 1 });
    const delays: number[] = [];
    for (let i = 0; i < 4; i += 1) {
      await set.jobs[0]!.drain();
      const [row] = await set.db.sql<{ run_at: Date }>('SELECT run_at FROM jobs');
      delays.push(Math.round((row!.run_at.getTime() - set.clock()) / 1_000));
      set.clock.advance(10_000);
    }
    await set.jobs[0]!.drain();
    await closeAll(set);
    expect([delays.slice(0, 3), tries]).to.deep.equal([[1, 2, 4], 4]);
  });
});
