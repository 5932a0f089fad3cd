import { AppError } from '../../protocol/errors.ts';

/** When a client that was turned away should come again. */
export const COME_BACK_MS = 1_000;

/** Lets events in until the gateway drains, and knows which of them are still to be answered. */
export interface Door {
  readonly isOpen: boolean;
  /** Lets one event in; call what it returns when it has been answered. Throws AppError `unavailable` once it is shut. */
  enter(): () => void;
  /** Lets nobody in from now on; resolves when all who are in have been answered. */
  shut(): Promise<void>;
}

export function createDoor(): Door {
  let isOpen = true;
  let inside = 0;
  const waiting: (() => void)[] = [];
  const leave = (): void => {
    inside -= 1;
    if (inside === 0) for (const resolve of waiting.splice(0)) resolve();
  };
  return {
    get isOpen() {
      return isOpen;
    },
    enter() {
      if (!isOpen) throw stopping();
      inside += 1;
      return leave;
    },
    async shut() {
      isOpen = false;
      if (inside > 0) await new Promise<void>((resolve) => waiting.push(resolve));
    },
  };
}

/** What a client hears of a gateway that is about to stop. */
export function stopping(): AppError {
  return new AppError('unavailable', {
    message: 'The gateway is stopping: connect again.',
    retryAfterMs: COME_BACK_MS,
  });
}
