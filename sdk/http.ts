import type { InputFault } from '../protocol/errors.ts';
import { ApiError } from './errors.ts';
import type { Fetch } from './types.ts';

export interface HttpCall {
  method: string;
  url: string;
  headers?: Record<string, string>;
  /** Sent as JSON, or as a form when it is URLSearchParams. */
  body?: unknown;
  /** Sends and takes cookies. */
  cookies?: boolean;
}

/** The URL of a path under the gateway's base URL, with or without a slash at its end. */
export function urlOf(baseUrl: string, path: string): string {
  return baseUrl.replace(/\/+$/, '') + path;
}

/** One call. Resolves with the parsed body (undefined without one); every failure is an ApiError. */
export async function callHttp(fetch: Fetch, call: HttpCall): Promise<unknown> {
  const patience = new AbortController();
  // Not AbortSignal.timeout: its timer holds nothing alive, and Node would end while somebody waits for the answer.
  const timer = setTimeout(() => patience.abort(), TIMEOUT_MS);
  try {
    return await exchange(fetch, call, patience.signal);
  } finally {
    clearTimeout(timer);
  }
}

async function exchange(fetch: Fetch, call: HttpCall, signal: AbortSignal): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(call.url, toRequest(call, signal));
  } catch (cause) {
    const { origin } = new URL(call.url, 'http://gateway');
    const message = `The gateway at ${origin} cannot be reached: check the address and the network.`;
    throw new ApiError({ status: 0, code: 'unreachable', message, cause });
  }
  const body = await readJson(response);
  if (!response.ok) throw toApiError(response, body);
  return body;
}

/** Milliseconds to wait for an answer: a connection that died unnoticed would be waited for without end. */
const TIMEOUT_MS = 10_000;

function toRequest({ method, headers, body, cookies = false }: HttpCall, signal: AbortSignal): RequestInit {
  const form = body instanceof URLSearchParams;
  return {
    method,
    signal,
    credentials: cookies ? 'include' : 'omit',
    headers: {
      accept: 'application/json',
      ...(body === undefined || form ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: form ? body : JSON.stringify(body) }),
  };
}

async function readJson(response: Response): Promise<unknown> {
  const text = await response.text().catch(() => '');
  if (text === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // A proxy's error page: the status has to do.
  }
}

interface Problem {
  code?: unknown;
  message?: unknown;
  detail?: unknown;
  title?: unknown;
  errors?: unknown;
  error?: unknown;
  error_description?: unknown;
  [extension: string]: unknown;
}

function toApiError(response: Response, body: unknown): ApiError {
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Problem;
  const code = firstText(problem.code, problem.error) ?? `http_${response.status}`;
  const message =
    firstText(problem.message, problem.detail, problem.error_description, problem.title) ??
    `The gateway answered ${response.status} ${response.statusText}.`;
  return new ApiError({
    status: response.status,
    code,
    message,
    errors: Array.isArray(problem.errors) ? (problem.errors as InputFault[]) : undefined,
    retryAfterMs: retryAfter(response.headers.get('retry-after')),
    extensions: problem,
  });
}

function firstText(...candidates: unknown[]): string | undefined {
  return candidates.find((one): one is string => typeof one === 'string' && one !== '');
}

/** Retry-After in seconds or as a date (RFC 9110, 10.2.3), in milliseconds. */
function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
