import { ERRORS } from '../../protocol/errors.ts';
import { ApiError } from '../../sdk/index.ts';

/** How numbers, times and refusals read. English whatever the browser's language: the page is in English. */

const number = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 6 });
const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const seconds = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', {
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  year: 'numeric',
});

export const formatNumber = (value: number): string => number.format(value).replace('-', '−');
export const formatTime = (value: string | number): string => formatWith(time, value);
export const formatSeconds = (value: string | number): string => formatWith(seconds, value);
export const formatDay = (value: string | number): string => formatWith(day, value);

/** A decimal string, grouped in thousands, with two decimals at least: it may hold more digits than a double. */
export function formatMoney(value: string): string {
  const match = /^(-?)(\d+)(\.\d+)?$/.exec(value);
  if (!match) return value;
  const [, sign = '', whole = '', fraction = '.'] = match;
  return `${sign === '' ? '' : '−'}${whole.replace(/\B(?=(\d{3})+$)/g, ',')}${fraction.padEnd(3, '0')}`;
}

/** A record's own date: shown as written where it is no date. */
export function formatDate(value: string): string {
  const match = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}))?/.exec(value);
  return match ? [match[1], match[2]].filter(Boolean).join(' ') : value;
}

/** Rounded to one unit: 5 s, 3 min, 2 h, 4 d. */
export function formatAge(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1_000));
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min`;
  return s < 86_400 ? `${Math.floor(s / 3_600)} h` : `${Math.floor(s / 86_400)} d`;
}

/** How long ago: a figure that changes each second says nothing. */
export function formatAgo(ms: number): string {
  return ms < 10_000 ? 'just now' : `${formatAge(ms)} ago`;
}

const ADVICE: Record<string, string> = {
  invalid_credentials: 'The name or the password is wrong. Check both and try again.',
  email_not_verified: 'This address is not verified yet. Enter the six digits we sent you.',
  invalid_code: 'The code is wrong or has expired. Check the digits, or ask for a new code.',
  too_many_tries: 'Too many wrong codes. Ask for a new code and use that one.',
  invalid_invitation: 'This invitation is used, withdrawn or too old. Ask for a new one.',
  passkey_refused: 'The passkey was not accepted. Try again, or use another way.',
  username_taken: 'That username is taken. Choose another.',
  password_refused: 'That password is too common. Choose another, longer one.',
  signup_closed: 'Sign-up is closed here. Ask an administrator for an account.',
  proof_of_work_required:
    'Too many tries came from here. Wait an hour, or open this page over HTTPS, where your browser can go on.',
  rate_limited: 'Too many tries.',
  unavailable: 'The gateway cannot reach its database. Try again in a moment.',
  busy: 'The gateway is busy. Try again in a moment.',
  internal: 'Something went wrong on the gateway. Try again; if it stays, tell an administrator.',
  forbidden: 'You may not do this. Ask an administrator for the right to.',
  already_exists: 'That name is taken. Choose another.',
  payload_too_large: 'That is too long. Shorten it.',
};

export type Advice = Readonly<Record<string, string>>;

/** What went wrong and what to do about it, in one sentence or two; `own` is what a place knows better, by code. */
export function explain(error: unknown, own: Advice = {}): string {
  if (error instanceof ApiError && error.status === 0)
    return 'The gateway cannot be reached. Check the connection and try again.';
  const code = codeOf(error);
  const advice = code === undefined ? undefined : (own[code] ?? sentenceOf(code, error) ?? ADVICE[code]);
  const wait = retryAfterOf(error);
  const later = wait === undefined ? '' : ` Try again in ${formatAge(wait)}.`;
  if (advice !== undefined) return advice + later;
  return error instanceof Error && error.message !== ''
    ? error.message + later
    : `That did not work.${later}`;
}

/** Where the gateway says why not, that says more than what all refusals of the kind have in common. */
function sentenceOf(code: string, error: unknown): string | undefined {
  if (!SPECIFIC.has(code) || !(error instanceof Error)) return undefined;
  const { message } = error;
  if (message === '' || DEFAULTS.has(message)) return undefined;
  return NEEDS_RIGHT.test(message) ? `${message} Ask an administrator for the right to.` : message;
}

const SPECIFIC = new Set(['forbidden', 'already_exists', 'password_refused']);
const DEFAULTS = new Set<string>(Object.values(ERRORS).map(({ message }) => message));
const NEEDS_RIGHT = /\bneeds the scope\b|^You may not\b/;

export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** The faults of a form, by field: what is wrong with a part of a list is wrong with the list. */
export function faultsByField(error: unknown): Record<string, string> {
  if (!(error instanceof ApiError)) return {};
  return Object.fromEntries(
    error.errors.map(({ path, message }) => [path.split(/[/.]/).find((part) => part !== '') ?? '', message]),
  );
}

function retryAfterOf(error: unknown): number | undefined {
  return error instanceof ApiError ? error.retryAfterMs : undefined;
}

function formatWith(format: Intl.DateTimeFormat, value: string | number): string {
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? String(value) : format.format(date);
}
