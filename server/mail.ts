import { createTransport } from 'nodemailer';
import { z } from 'zod';
import type { Config } from './config.ts';
import { JobRefused } from './jobs.ts';
import type { Clock } from './auth/clock.ts';

/** One mail, in both forms. */
export const mailShape = z.object({
  /** Of its Message-ID: a mail that has to be sent again is seen to be the same. Mails of earlier versions have none. */
  id: z.uuid().optional(),
  to: z.string(),
  subject: z.string(),
  text: z.string(),
  html: z.string(),
});
export type Mail = z.infer<typeof mailShape>;

/** A mail that was printed instead of sent. */
export interface KeptMail extends Mail {
  at: string;
}

export interface Mailer {
  /** Throws when the server could not be reached (try again), JobRefused when it refused the mail for good. */
  send(mail: Mail): Promise<void>;
  /** The last 50 mails, newest first; undefined when there is a mail server. */
  kept: (() => KeptMail[]) | undefined;
  close(): void;
}

const KEEP = 50;
const SMTP_TIMEOUT_MS = 15_000;

/** A mailer for SMTP_SERVER; without one it prints to `console` and keeps the last mails for GET /dev/mail. */
export function createMailer(config: Config, console: NodeJS.WritableStream, clock: Clock): Mailer {
  return config.SMTP_SERVER === undefined
    ? createPrinter(console, clock)
    : createSmtpMailer(config, config.SMTP_SERVER);
}

function createPrinter(console: NodeJS.WritableStream, clock: Clock): Mailer {
  const kept: KeptMail[] = [];
  return {
    send(mail) {
      kept.unshift({ ...mail, at: new Date(clock()).toISOString() });
      kept.length = Math.min(kept.length, KEEP);
      const body = mail.text.trimEnd().replaceAll('\n', '\n  | ');
      console.write(
        `\n  | Mail to ${mail.to} (no SMTP_SERVER is set, so it is shown here)\n  | ${mail.subject}\n  |\n  | ${body}\n\n`,
      );
      return Promise.resolve();
    },
    kept: () => kept,
    close: () => undefined,
  };
}

function createSmtpMailer(config: Config, host: string): Mailer {
  const transport = createTransport({
    host,
    port: config.SMTP_PORT,
    secure: config.SMTP_PORT === 465,
    // a password goes out only over TLS, except to a server on this very machine
    requireTLS: config.SMTP_USERNAME !== undefined && !isLoopback(host),
    ...(config.SMTP_USERNAME === undefined
      ? {}
      : { auth: { user: config.SMTP_USERNAME, pass: config.SMTP_PASSWORD ?? '' } }),
    connectionTimeout: SMTP_TIMEOUT_MS,
    greetingTimeout: SMTP_TIMEOUT_MS,
    socketTimeout: SMTP_TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return {
    async send(mail) {
      // no form lets such an address in; should one come another way, it ends here
      if (/[\r\n]/.test(mail.to)) throw new JobRefused('the address has a line break');
      try {
        await transport.sendMail({
          from: { name: 'Sluice', address: config.FROM_EMAIL },
          to: { name: '', address: mail.to },
          subject: mail.subject,
          ...(mail.id === undefined ? {} : { messageId: `<${mail.id}@${senderDomain(config)}>` }),
          text: mail.text,
          html: mail.html,
        });
      } catch (error) {
        const { responseCode } = error as { responseCode?: number };
        if (responseCode !== undefined && [550, 551, 552, 553, 554].includes(responseCode)) {
          throw new JobRefused(`the mail server refused it: ${responseCode}`, { cause: error });
        }
        throw error;
      }
    },
    kept: undefined,
    close: () => transport.close(),
  };
}

function senderDomain({ FROM_EMAIL }: Config): string {
  return FROM_EMAIL.slice(FROM_EMAIL.lastIndexOf('@') + 1);
}

/** Whether an address or host name means this machine alone. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}
