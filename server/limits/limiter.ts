/** What stands on a count after it was asked for or changed. */
export interface Count {
  consumedPoints: number;
  remainingPoints: number;
  /** Until the window ends. */
  msBeforeNext: number;
}

/** A number of points for each key in a window that begins with the first one. */
export interface Counter {
  readonly name: string;
  readonly points: number;
  /** Takes a point; `passed` says whether there was one. */
  consume(key: string): Promise<Count & { passed: boolean }>;
  /** Adds points, whatever the limit is; a negative number gives some back. */
  add(key: string, points?: number): Promise<Count>;
}

export interface Limiter extends Counter {
  /** Undefined: nothing was counted in this window. */
  find(key: string): Promise<Count | undefined>;
  /** Sets a count, in a window that begins now. */
  set(key: string, points: number, seconds: number): Promise<void>;
  /** Says whether there was a count: of several who forget it at once, one hears yes. */
  forget(key: string): Promise<boolean>;
}

export interface LimitOptions {
  name: string;
  points: number;
  /** Length of the window. */
  seconds: number;
}
