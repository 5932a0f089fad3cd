import { setImmediate as nextTurn } from 'node:timers/promises';
import { AppError } from '../protocol/errors.ts';

/** Bounds of one queue (DESIGN 5.2): a group, and what may wait behind it. */
const GROUP_ITEMS = 200;
const GROUP_BYTES = 1024 * 1024;
const WAITING_ITEMS = 10_000;
const WAITING_BYTES = 64 * 1024 * 1024;

interface Waiting<Item, Result> {
  item: Item;
  bytes: number;
  resolve: (result: Result) => void;
  reject: (error: Error) => void;
}

/**
 * A queue that works in groups: while one group runs the next one gathers, so that the cost of a commit is shared
 * exactly when there is load; an item that finds the queue idle runs at once.
 */
export class GroupQueue<Item, Result> {
  readonly #run: (items: Item[]) => Promise<(Result | Error)[]>;
  #queue: Waiting<Item, Result>[] = [];
  #bytes = 0;
  #running = 0;
  /** How many the next group takes. */
  #most = GROUP_ITEMS;
  #draining = false;
  #idle: (() => void)[] = [];

  /**
   * `run` settles the items of a group in their order, each with its result or an Error: all of them, or the first ones
   * and at least one. The others go first in the next group.
   */
  constructor(run: (items: Item[]) => Promise<(Result | Error)[]>) {
    this.#run = run;
  }

  get waiting(): number {
    return this.#queue.length + this.#running;
  }

  /** Adds an item; rejects with `busy` when too much is waiting. */
  submit(item: Item, bytes: number): Promise<Result> {
    if (this.#queue.length >= WAITING_ITEMS || this.#bytes + bytes > WAITING_BYTES) {
      return Promise.reject(new AppError('busy', { retryAfterMs: 250 }));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, bytes, resolve, reject });
      this.#bytes += bytes;
      if (!this.#draining) {
        this.#draining = true;
        void this.#drain();
      }
    });
  }

  idle(): Promise<void> {
    if (this.waiting === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      // what has arrived already but is not parsed yet belongs into the group: without this turn the first of a burst
      // would be committed alone and the others would wait for it
      await nextTurn();
      const group = this.#takeGroup();
      this.#running = group.length;
      await this.#settle(group);
      this.#running = 0;
    }
    this.#draining = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #settle(group: Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#run(group.map(({ item }) => item));
      if (results.length === 0) throw new Error('a group settled nothing');
      for (const [i, result] of results.entries()) {
        const { resolve, reject } = group[i] as Waiting<Item, Result>;
        if (result instanceof Error) reject(result);
        else resolve(result);
      }
      this.#putBack(group.slice(results.length), results.length);
    } catch (error) {
      for (const { reject } of group) reject(error as Error);
    }
  }

  /** What is prepared for a group that ends early is in vain: the next one takes little more than this one managed. */
  #putBack(left: Waiting<Item, Result>[], settled: number): void {
    this.#most = Math.min(GROUP_ITEMS, 2 * (left.length > 0 ? settled : this.#most));
    this.#queue.unshift(...left);
    for (const { bytes } of left) this.#bytes += bytes;
  }

  #takeGroup(): Waiting<Item, Result>[] {
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#queue) {
      if (count > 0 && (count >= this.#most || bytes + waiting.bytes > GROUP_BYTES)) break;
      bytes += waiting.bytes;
      count += 1;
    }
    this.#bytes -= bytes;
    return this.#queue.splice(0, count);
  }
}
