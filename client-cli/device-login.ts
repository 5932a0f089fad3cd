import { renderUnicodeCompact } from 'uqr';
import { z } from 'zod';
import { callHttp, urlOf } from '../sdk/http.ts';
import type { SessionUser } from '../sdk/index.ts';
import { ApiError } from '../sdk/index.ts';
import type { Context } from './context.ts';
import { CliError, EXIT } from './failure.ts';
import { clean } from './terminal-text.ts';

/** Logging in by approving this terminal in a browser (RFC 8628): no password is typed here. */

const CLIENT_ID = 'sluice-cli';
const GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const SLOWER_SECONDS = 5;

const codes = z.object({
  device_code: z.string().min(1),
  user_code: z.string().min(1),
  verification_uri: z.url(),
  verification_uri_complete: z.url().optional(),
  expires_in: z.number().positive(),
  interval: z.number().positive().default(5),
});
export type DeviceCodes = z.infer<typeof codes>;

export interface DeviceLogin {
  /** Scopes to ask for; left out: what the person has, without administration. */
  scopes?: readonly string[] | undefined;
  /** Username whose open pages are to be told. */
  name?: string | undefined;
  /** Shows where to go and what to type. */
  show: (codes: DeviceCodes) => void;
}

/** Asks for a code, shows it, and waits until somebody has decided. Throws CliError. */
export async function loginByDevice(context: Context, login: DeviceLogin): Promise<SessionUser> {
  const form = new URLSearchParams({ client_id: CLIENT_ID });
  if (login.scopes !== undefined) form.set('scope', login.scopes.join(' '));
  if (login.name !== undefined) form.set('login_hint', login.name);
  const asked = codes.parse(
    await callHttp(context.fetch ?? globalThis.fetch, {
      method: 'POST',
      url: urlOf(context.url, '/oauth/device_authorization'),
      body: form,
    }),
  );
  login.show(asked);
  return poll(context, asked);
}

async function poll(context: Context, asked: DeviceCodes): Promise<SessionUser> {
  const form = { grant_type: GRANT, client_id: CLIENT_ID, device_code: asked.device_code };
  const until = context.clock.now() + asked.expires_in * 1_000;
  let seconds = asked.interval;
  while (context.clock.now() < until) {
    await pause(context, seconds);
    try {
      return await context.session.loginBy('/oauth/token', new URLSearchParams(form));
    } catch (error) {
      seconds += slower(error);
    }
  }
  throw tooLate();
}

/** Seconds to wait longer after this answer. Throws when there is nothing to wait for. */
function slower(error: unknown): number {
  if (!(error instanceof ApiError)) throw error;
  const { code, status, retryAfterMs = 0 } = error;
  if (code === 'authorization_pending') return 0;
  // RFC 8628 section 3.5: a gateway that does not answer is asked less often too
  if (code === 'slow_down' || status === 0 || status === 429 || status >= 500) {
    return Math.max(SLOWER_SECONDS, retryAfterMs / 1_000);
  }
  if (code === 'expired_token') throw tooLate();
  if (code === 'access_denied') {
    throw new CliError(EXIT.forbidden, code, 'It was refused in the browser.');
  }
  throw error;
}

function pause({ clock, signal }: Context, seconds: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      cancel();
      reject(new CliError(EXIT.failed, 'interrupted', 'Interrupted.'));
    };
    const cancel = clock.after(seconds * 1_000, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

function tooLate(): CliError {
  const hint = 'Ask for another code: npm run sluice -- login';
  return new CliError(EXIT.failed, 'expired_token', 'Nobody decided in time.', hint);
}

/** What a person is told to do; a QR code too where a telephone could follow it and the terminal has the room. */
export function deviceLines(
  { theme, output }: Pick<Context, 'theme' | 'output'>,
  asked: DeviceCodes,
): string[] {
  const { verification_uri: page, verification_uri_complete: complete, user_code: code } = asked;
  const qr = complete === undefined || isHere(page) ? [] : renderUnicodeCompact(complete).split('\n');
  const fits = (qr[0]?.length ?? Infinity) <= (output.columns ?? 0) && qr.length < (output.rows ?? 0);
  return [
    `Open ${theme.bold(clean(page))}`,
    `and type  ${theme.bold(clean(code))}`,
    ...(output.isTTY === true && fits ? ['', ...qr] : []),
    theme.dim('Approve it only if you have started this yourself. Waiting… (Ctrl-C gives up)'),
  ];
}

/** An address that means another machine on another machine. */
function isHere(page: string): boolean {
  return ['localhost', '127.0.0.1', '[::1]'].includes(new URL(page).hostname);
}
