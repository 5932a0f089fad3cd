import type { ChatMessage } from '../protocol/chat.ts';
import { toError } from './emitter.ts';

/** Gives out each room's messages in seq order, each once, and fetches what is missing from the history. */

export interface RoomOrder {
  /** A message came in, perhaps again, perhaps too early. */
  offer(message: ChatMessage): void;
  /** The room is known to have messages up to `seq`; the first time, they count as seen. */
  reach(room: string, seq: number): void;
  forget(room: string): void;
}

export interface RoomOrderDeps {
  history(room: string, before: number): Promise<{ messages: ChatMessage[]; more: boolean }>;
  emit(message: ChatMessage): void;
  onError(error: Error): void;
}

interface RoomState {
  /** The last seq given out. */
  seen: number;
  /** Came in above a gap. */
  early: Map<number, ChatMessage>;
  repairing: boolean;
}

export function createRoomOrder(deps: RoomOrderDeps): RoomOrder {
  const rooms = new Map<string, RoomState>();

  const drain = (state: RoomState): void => {
    for (let next = state.early.get(state.seen + 1); next; next = state.early.get(state.seen + 1)) {
      state.early.delete(next.seq);
      state.seen = next.seq;
      deps.emit(next);
    }
  };
  const repair = async (room: string, state: RoomState, upTo: number): Promise<void> => {
    if (state.repairing) return;
    state.repairing = true;
    try {
      await fetchBack(deps, { room, state, upTo });
      drain(state);
    } catch (error) {
      // The next message or the next connection tries again.
      deps.onError(toError(error));
      return;
    } finally {
      state.repairing = false;
    }
    // What came in meanwhile may lie above yet another gap.
    const next = Math.min(...state.early.keys());
    if (state.early.size > 0) await repair(room, state, next - 1);
  };

  return {
    offer(message) {
      const state = rooms.get(message.room) ?? open(rooms, message.room, message.seq - 1);
      if (message.seq <= state.seen) return;
      state.early.set(message.seq, message);
      drain(state);
      if (message.seq > state.seen) void repair(message.room, state, message.seq - 1);
    },
    reach(room, seq) {
      const state = rooms.get(room) ?? open(rooms, room, seq);
      if (seq > state.seen) void repair(room, state, seq);
    },
    forget: (room) => void rooms.delete(room),
  };
}

function open(rooms: Map<string, RoomState>, room: string, seen: number): RoomState {
  const state = { seen, early: new Map<number, ChatMessage>(), repairing: false };
  rooms.set(room, state);
  return state;
}

/** Pages back from `upTo` until what was seen is reached. */
async function fetchBack(
  deps: RoomOrderDeps,
  { room, state, upTo }: { room: string; state: RoomState; upTo: number },
): Promise<void> {
  let before = upTo + 1;
  while (before > state.seen + 1) {
    const { messages } = await deps.history(room, before);
    const lowest = Math.min(...messages.map((message) => message.seq));
    for (const message of messages) if (message.seq > state.seen) state.early.set(message.seq, message);
    if (messages.length === 0 || lowest >= before) {
      skip(deps, room, state);
      return;
    }
    before = lowest;
  }
}

/** The gateway does not have the missing ones (any more): say so, and go on with what there is. */
function skip(deps: RoomOrderDeps, room: string, state: RoomState): void {
  if (state.early.size === 0) return;
  const next = Math.min(...state.early.keys());
  deps.onError(new Error(`${room}: messages ${state.seen + 1} to ${next - 1} are gone`));
  state.seen = next - 1;
}
