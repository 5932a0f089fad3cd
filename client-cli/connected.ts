import type { ChatClient, LinkState, SessionUser, Subscription, SyncClient, Unlisten } from '../sdk/index.ts';
import { createChatClient, createMemoryStore, createSyncClient } from '../sdk/index.ts';
import { SLUICE_VERSION } from '../protocol/version.ts';
import type { Context } from './context.ts';
import { CliError, EXIT, fromCode, HINTS, unreachable } from './failure.ts';

/** The person logged in. Throws CliError (77) when nobody is. */
export async function requireLogin(context: Context): Promise<SessionUser> {
  const user = await context.session.restore();
  if (user) return user;
  const message = `You are not logged in at ${context.url}.`;
  throw new CliError(EXIT.forbidden, 'unauthenticated', message, HINTS.login);
}

export function openSync(context: Context, subscribe: readonly Subscription[]): SyncClient {
  const { url, session: tokens, connect, clock } = context;
  const app = { name: 'sluice-cli', version: SLUICE_VERSION };
  const store = createMemoryStore();
  return createSyncClient({ url, tokens, clock, store, subscribe, app, ...(connect && { connect }) });
}

export function openChat(context: Context): ChatClient {
  const { url, session: tokens, connect, clock } = context;
  return createChatClient({ url, tokens, clock, ...(connect && { connect }) });
}

/** Runs fn with a chat client that is connected, and closes it. */
export async function withChat(context: Context, fn: (chat: ChatClient) => Promise<void>): Promise<void> {
  await requireLogin(context);
  const chat = openChat(context);
  try {
    const live = whenLive(chat, context.signal);
    chat.start();
    await live;
    await fn(chat);
  } finally {
    await chat.close();
  }
}

interface Linked {
  readonly state: LinkState;
  on(event: 'state', listener: (state: LinkState) => void): Unlisten;
}

/**
 * Resolves when the client is live for the first time. Rejects with a CliError when the gateway refuses, when the first
 * attempt finds nobody (69), or when the signal is aborted.
 */
export function whenLive(client: Linked, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let seen = false;
    const settle = (error?: CliError): void => {
      unlisten();
      signal.removeEventListener('abort', onAbort);
      if (error) reject(error);
      else resolve();
    };
    const onAbort = (): void => settle(new CliError(EXIT.failed, 'interrupted', 'Interrupted.'));
    const look = (state: LinkState): void => {
      seen ||= state.name === 'snapshot';
      if (state.name === 'live') settle();
      else if (state.name === 'refused' || !seen) refusalOf(state, settle);
    };
    const unlisten = client.on('state', look);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
  });
}

/** Tells of a state when it is another one than before; a live one is told of with each change otherwise. */
export function onNewState(client: Linked, listener: (state: LinkState) => void): Unlisten {
  let last: LinkState['name'] = client.state.name;
  return client.on('state', (state) => {
    const changed = state.name !== last;
    last = state.name;
    if (changed) listener(state);
  });
}

/** A state that will not pass by itself, as the error it stands for. */
export function failureOf(state: LinkState): CliError | undefined {
  if (state.name === 'refused') return fromCode(state.code, state.message ?? state.code);
  // Without a wait the engine only tries a fresh token.
  if (state.name === 'offline' && state.retryInMs > 0)
    return unreachable(state.lastError ?? 'The gateway cannot be reached.');
  return undefined;
}

function refusalOf(state: LinkState, settle: (error: CliError) => void): void {
  const failure = failureOf(state);
  if (failure) settle(failure);
}
