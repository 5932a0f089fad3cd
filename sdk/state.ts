/**
 * The states of a connection and every step between them: pure, so that all of it is tested without a network.
 * The table is typed to be complete: a state or an event without its entry does not compile.
 */

export type LinkState =
  | { name: 'idle' }
  /** Waiting; the next try is `retryInMs` after the state was entered. */
  | { name: 'offline'; attempt: number; retryInMs: number; lastError?: string }
  | { name: 'connecting'; attempt: number }
  /** `head`: the tenant's version as far as known; `serverTime`: of the hello, ISO 8601. */
  | { name: 'snapshot'; attempt: number; received: number; head: number; serverTime: string }
  | { name: 'live'; attempt: number; head: number; serverTime: string }
  /** The gateway will not have us: tried again slowly, with a new token each time. */
  | { name: 'refused'; code: string; attempt: number; retryInMs: number; message?: string }
  | { name: 'closed' };

export type LinkEvent =
  | { type: 'start' }
  /** The time to wait is over, or the caller will not wait. */
  | { type: 'retry' }
  | { type: 'welcome'; snapshot: boolean; head: number; serverTime: string }
  | { type: 'page'; records: number; more: boolean }
  /** The replica was emptied while connected. */
  | { type: 'reset' }
  | { type: 'advanced'; head: number }
  | { type: 'stable' }
  | { type: 'lost'; retryInMs: number; error?: string }
  | { type: 'refuse'; code: string; retryInMs: number; message?: string }
  | { type: 'close' };

type StateOf<N extends LinkState['name']> = Extract<LinkState, { name: N }>;
type EventOf<T extends LinkEvent['type']> = Extract<LinkEvent, { type: T }>;
type Step<N extends LinkState['name'], T extends LinkEvent['type']> = (
  state: StateOf<N>,
  event: EventOf<T>,
) => LinkState;
type Table = { [N in LinkState['name']]: { [T in LinkEvent['type']]: Step<N, T> } };

/** The state after an event. An event that means nothing in a state returns the same object. */
export function transition(state: LinkState, event: LinkEvent): LinkState {
  const step = TABLE[state.name][event.type] as (state: LinkState, event: LinkEvent) => LinkState;
  return step(state, event);
}

export const IDLE: LinkState = { name: 'idle' };

const stay = <S extends LinkState>(state: S): S => state;
const closed = (): LinkState => ({ name: 'closed' });
const attemptOf = (state: LinkState): number => ('attempt' in state ? state.attempt : 0);

const connect = (state: LinkState): LinkState => ({ name: 'connecting', attempt: attemptOf(state) });

function lose(state: LinkState, event: EventOf<'lost'>): LinkState {
  const { retryInMs, error } = event;
  const attempt = attemptOf(state) + 1;
  return { name: 'offline', attempt, retryInMs, ...(error === undefined ? {} : { lastError: error }) };
}

function refuse(state: LinkState, event: EventOf<'refuse'>): LinkState {
  const { code, retryInMs, message } = event;
  const attempt = attemptOf(state) + 1;
  return { name: 'refused', code, attempt, retryInMs, ...(message === undefined ? {} : { message }) };
}

function welcome(state: StateOf<'connecting'>, event: EventOf<'welcome'>): LinkState {
  const { head, serverTime, snapshot } = event;
  const { attempt } = state;
  return snapshot
    ? { name: 'snapshot', attempt, received: 0, head, serverTime }
    : { name: 'live', attempt, head, serverTime };
}

function page(state: StateOf<'snapshot'>, event: EventOf<'page'>): LinkState {
  const { attempt, head, serverTime } = state;
  if (!event.more) return { name: 'live', attempt, head, serverTime };
  return { ...state, received: state.received + event.records };
}

const restart = (state: StateOf<'snapshot' | 'live'>): LinkState => ({
  name: 'snapshot',
  attempt: state.attempt,
  received: 0,
  head: state.head,
  serverTime: state.serverTime,
});

const advance = <S extends StateOf<'snapshot' | 'live'>>(state: S, event: EventOf<'advanced'>): S =>
  event.head > state.head ? { ...state, head: event.head } : state;

const settle = <S extends StateOf<'snapshot' | 'live'>>(state: S): S =>
  state.attempt === 0 ? state : { ...state, attempt: 0 };

const nothing = {
  start: stay,
  retry: stay,
  welcome: stay,
  page: stay,
  reset: stay,
  advanced: stay,
  stable: stay,
  lost: stay,
  refuse: stay,
  close: closed,
};

const TABLE: Table = {
  idle: { ...nothing, start: connect },
  offline: { ...nothing, retry: connect },
  connecting: { ...nothing, welcome, lost: lose, refuse },
  snapshot: {
    ...nothing,
    page,
    reset: restart,
    advanced: advance,
    stable: settle,
    lost: lose,
    refuse,
  },
  live: { ...nothing, reset: restart, advanced: advance, stable: settle, lost: lose, refuse },
  refused: { ...nothing, retry: connect },
  closed: { ...nothing, close: stay },
};
