import { expect } from 'chai';
import { JobRefused } from '../../server/jobs.ts';
import { parseConfig } from '../../server/config.ts';
import { createMailer } from '../../server/mail.ts';
import {
  addressChangedMail,
  invitationMail,
  newAddressMail,
  oldAddressMail,
} from '../../server/mail-texts.ts';
import { signUp } from './support/client.ts';
import { startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';
import { findFreePort, startSmtpProcess } from './support/smtp.ts';
import type { SmtpProcess } from './support/smtp.ts';

describe('a mail server that dies', () => {
  let port: number;
  let gateway: Gateway;
  let running: SmtpProcess | undefined;
  beforeEach(async () => {
    port = await findFreePort();
    gateway = await startGateway({ env: { SMTP_SERVER: '127.0.0.1', SMTP_PORT: String(port) } });
  });
  afterEach(async () => {
    await gateway.close();
    await running?.kill();
    running = undefined;
  });
  const start = async (dies: Parameters<typeof startSmtpProcess>[1] = 'never'): Promise<SmtpProcess> =>
    (running = await startSmtpProcess(port, dies));
  const deliver = async (): Promise<void> => {
    gateway.clock.advance(60_000);
    await gateway.identity.core.jobs.drain();
  };
  const waiting = (): Promise<{ attempts: number; failed_at: Date | null }[]> =>
    gateway.db.sql('SELECT attempts, failed_at FROM jobs');
  const idOf = (mail: string): string => /^Message-ID: (.*)$/im.exec(mail)?.[1]?.trim() ?? 'none';

  it('delays mail and loses none: down for hours, back again, and each mail arrives once', async () => {
    const first = await start();
    await signUp(gateway, { email: 'one@example.com' });
    await deliver();
    await first.kill();
    for (const name of ['two', 'three', 'four']) await signUp(gateway, { email: `${name}@example.com` });
    for (let i = 0; i < 3; i += 1) {
      await deliver();
      gateway.clock.advance(3_600_000);
    }
    const held = await waiting();
    const second = await start();
    await deliver();
    await deliver();
    const to = second.mails.map((mail) => /^To: (.*)$/m.exec(mail)?.[1]?.trim()).sort();
    expect([first.mails.length, held.length]).to.deep.equal([1, 3]);
    expect(held.every(({ attempts, failed_at }) => attempts >= 3 && failed_at === null)).to.equal(true);
    expect(to).to.deep.equal(['four@example.com', 'three@example.com', 'two@example.com']);
    expect(await waiting()).to.deep.equal([]);
  });

  it('in the middle of a mail has it again, whole and once, when it is back', async () => {
    const dying = await start('in-data');
    await signUp(gateway, { email: 'one@example.com' });
    await deliver();
    await dying.ended;
    const held = await waiting();
    const back = await start();
    await deliver();
    await deliver();
    expect([dying.mails.length, held.length]).to.deep.equal([0, 1]);
    expect(back.mails).to.have.length(1);
    expect(back.mails[0]).to.include('text/html').and.include('It is good for 24 hours');
    expect(await waiting()).to.deep.equal([]);
  });

  it('before it says that it took a mail gets it a second time, under the same Message-ID', async () => {
    const dying = await start('unsaid');
    await signUp(gateway, { email: 'one@example.com' });
    await deliver();
    await dying.ended;
    const back = await start();
    await deliver();
    expect([dying.mails.length, back.mails.length]).to.deep.equal([1, 1]);
    expect(idOf(dying.mails[0]!)).to.match(/^<[0-9a-f-]{36}@localhost\.localdomain>$/);
    expect(idOf(back.mails[0]!)).to.equal(idOf(dying.mails[0]!));
  });
});

describe('mail texts', () => {
  const EVIL = `<b onclick="x('y')">&`;
  const to = { email: 'a@example.com', username: EVIL };

  it('[S64] are escaped in HTML, every part that came from outside', () => {
    const mails = [
      oldAddressMail(to, { code: '123456', newEmail: `${EVIL}@example.com` }, 'https://x.example'),
      newAddressMail(to, '123456', 'https://x.example'),
      addressChangedMail(to, `${EVIL}@example.com`, 'https://x.example'),
      invitationMail(
        { email: 'a@example.com', tenant: EVIL, role: 'member' },
        'siv_1_x',
        'https://x.example',
      ),
    ];
    for (const { html, text } of mails) {
      expect(html).not.to.include('<b ').and.not.include("x('y')");
      expect(html).to.include('&lt;b onclick=&quot;x(&#39;y&#39;)&quot;&gt;&amp;');
      expect(text).to.include(EVIL);
    }
  });

  it('[S32] to an address with a line break are refused for good, whatever let it in', async () => {
    const mailer = createMailer(
      parseConfig({ SMTP_SERVER: '127.0.0.1', SMTP_PORT: '9' }),
      process.stdout,
      Date.now,
    );
    const mail = { to: 'a@example.com\r\nRCPT TO:<b@example.com>', subject: 's', text: 't', html: 'h' };
    const outcome = await mailer.send(mail).catch((error: unknown) => error);
    mailer.close();
    expect(outcome).to.be.instanceOf(JobRefused).with.property('message', 'the address has a line break');
  });
});
