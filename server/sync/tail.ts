import type { Logger } from '../log.ts';
import type { Sql } from '../db.ts';
import type { CommittedGroup } from './commit.ts';
import type { LoggedChange } from './rows.ts';
import type { Position } from './cursor.ts';
import { readClock, readLogPage } from './log.ts';

/** A contiguous piece of the log held in memory: the versions behind `from` up to `version`. */
export interface Segment extends Position {
  from: number;
  changes: readonly LoggedChange[];
  bytes: number;
}

/** Recent segments kept per tenant for subscribers that are a little behind. */
const RING_BYTES = 8 * 1024 * 1024;
const RING_SEGMENTS = 1_024;

/**
 * Follows one tenant's log on one node. Groups this node committed itself and that are contiguous come from memory,
 * all else from the log; so a hint that is lost, doubled or late changes nothing but latency (P3, P8).
 */
export class TenantTail {
  readonly epoch: string;
  readonly #sql: Sql;
  readonly #tenantId: number;
  readonly #log: Logger;
  readonly #onSegment: (segment: Segment) => void;
  #head: Position;
  #ring: Segment[] = [];
  #ringBytes = 0;
  /** Groups that this node committed beyond a piece another node committed: taken when the log has filled the gap. */
  #ahead = new Map<number, CommittedGroup>();
  #isReading = false;
  #waiting: { version: number; resolve: () => void }[] = [];
  #known = 0;

  private constructor(
    deps: { sql: Sql; log: Logger },
    tenantId: number,
    start: Position & { epoch: string },
    onSegment: (segment: Segment) => void,
  ) {
    this.#sql = deps.sql;
    this.#log = deps.log;
    this.#tenantId = tenantId;
    this.#onSegment = onSegment;
    this.epoch = start.epoch;
    this.#head = { version: start.version, mark: start.mark };
    this.#known = start.version;
  }

  /** Starts at the tenant's present head. `onSegment` hears every later piece of the log, in order, once. */
  static async start(
    deps: { sql: Sql; log: Logger },
    tenantId: number,
    onSegment: (segment: Segment) => void,
  ): Promise<TenantTail> {
    const clock = await readClock(deps.sql, tenantId);
    if (!clock) throw new Error(`tenant ${tenantId} has no clock`);
    return new TenantTail(deps, tenantId, clock, onSegment);
  }

  /** The newest position known here. */
  get head(): Position {
    return this.#head;
  }

  /** Takes a group this node has just committed. */
  offer(group: CommittedGroup): void {
    this.#known = Math.max(this.#known, group.to);
    if (group.to <= this.#head.version) return;
    if (group.from === this.#head.version) {
      this.#append({ from: group.from, version: group.to, mark: group.mark, changes: group.changes });
      this.#takeAhead();
      return;
    }
    if (this.#ahead.size < RING_SEGMENTS) this.#ahead.set(group.from, group);
    this.advanceTo(group.to);
  }

  /** Somebody says that the tenant has reached `version`: read up to it. Errors are left to the next poll. */
  advanceTo(version: number): void {
    this.#known = Math.max(this.#known, version);
    if (this.#known <= this.#head.version || this.#isReading) return;
    this.#isReading = true;
    this.#readOn().catch((error: unknown) =>
      this.#log.warn({ err: error, tenantId: this.#tenantId }, 'reading the log failed'),
    );
  }

  /** Resolves when the log has been read up to `version`, or when it cannot be: look at the head then. */
  reached(version: number): Promise<void> {
    if (this.#head.version >= version || !this.#isReading) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ version, resolve }));
  }

  /** The segment in memory that starts exactly at `version`, if there is one. */
  findSegment(version: number): Segment | undefined {
    const first = this.#ring[0];
    if (!first || version < first.from) return undefined;
    let [low, high] = [0, this.#ring.length - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      const segment = this.#ring[middle] as Segment;
      if (segment.from === version) return segment;
      if (segment.from < version) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }

  async #readOn(): Promise<void> {
    try {
      while (this.#head.version < this.#known) {
        const { version, mark } = this.#head;
        const page = await readLogPage(this.#sql, this.#tenantId, version);
        if (!page) return;
        if (page.afterMark !== mark) throw new Error('the log in the database is another one');
        // a group of our own may have been appended while the page was read
        if (page.version <= this.#head.version) continue;
        const changes = page.changes.filter((change) => change.version > this.#head.version);
        this.#append({ from: this.#head.version, version: page.version, mark: page.mark, changes });
        this.#takeAhead();
      }
    } finally {
      // in the same step as the last look, or a wake-up in between would be lost
      this.#isReading = false;
      this.#wake(Infinity);
    }
  }

  #wake(upTo: number): void {
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ version }) => version > upTo);
    for (const { version, resolve } of waiting) if (version <= upTo) resolve();
  }

  #takeAhead(): void {
    for (let next = this.#ahead.get(this.#head.version); next; next = this.#ahead.get(this.#head.version)) {
      this.#append({ from: next.from, version: next.to, mark: next.mark, changes: next.changes });
    }
    for (const [from, group] of this.#ahead) if (group.to <= this.#head.version) this.#ahead.delete(from);
  }

  #append(piece: Omit<Segment, 'bytes'>): void {
    const bytes = piece.changes.reduce((sum, change) => sum + change.bytes + 150, 0);
    const segment = { ...piece, bytes };
    this.#head = { version: piece.version, mark: piece.mark };
    if (this.#waiting.length > 0) this.#wake(piece.version);
    this.#ring.push(segment);
    this.#ringBytes += bytes;
    while (this.#ringBytes > RING_BYTES || this.#ring.length > RING_SEGMENTS) {
      this.#ringBytes -= this.#ring.shift()?.bytes ?? 0;
    }
    this.#onSegment(segment);
  }
}
