import type { Unlisten } from './types.ts';

/** Typed events. A listener that throws stops neither the engine nor the other listeners. */
export interface Emitter<Events> {
  on<E extends keyof Events>(event: E, listener: (body: Events[E]) => void): Unlisten;
  emit<E extends keyof Events>(event: E, body: Events[E]): void;
}

/** `onThrow` gets what a listener threw. */
export function createEmitter<Events>(onThrow: (error: Error) => void): Emitter<Events> {
  const listeners = new Map<keyof Events, Set<(body: never) => void>>();
  return {
    on(event, listener) {
      const set = listeners.get(event) ?? new Set();
      listeners.set(event, set.add(listener));
      return () => {
        set.delete(listener);
      };
    },
    emit(event, body) {
      for (const listener of [...(listeners.get(event) ?? [])]) {
        try {
          (listener as (body: unknown) => void)(body);
        } catch (error) {
          if (event !== 'error') onThrow(toError(error));
        }
      }
    },
  };
}

export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
