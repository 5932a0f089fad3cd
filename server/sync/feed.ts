import type { Delta } from '../../protocol/sync.ts';
import type { Sql } from '../db.ts';
import type { Logger } from '../log.ts';
import type { CommittedGroup } from './commit.ts';
import { formatCursor } from './cursor.ts';
import type { Position } from './cursor.ts';
import type { Gate } from '../gate.ts';
import type { Scope } from './scope.ts';
import { viewOf } from './scope.ts';
import type { Subscriber } from './subscriber.ts';
import { TenantTail } from './tail.ts';
import type { Segment } from './tail.ts';

/** Caught-up subscribers of one scope: a frame is made and encoded once and serves them all. */
export interface LiveRoom {
  name: string;
  scope: Scope;
  /** Where all members are; pieces of the log with nothing for them are skipped until the next frame. */
  cursor: Position;
  members: Set<Subscriber>;
}

interface Frame {
  delta: Delta;
  bytes: number;
}

export interface FeedDeps {
  sql: Sql;
  log: Logger;
  /** Sends a frame to everyone in a room with one encoding. */
  emitToRoom: (room: string, frame: Delta) => void;
  /** Bounds how many pages are read from the database at a time; tenants take turns. */
  read: Gate;
}

/** Hears a piece of the log. It must not throw. */
export type SegmentListener = (segment: Segment) => void;

/** After this time without anything visible, members are told how far the log has gone all the same. */
const QUIET_MS = 1_000;

/** One tenant's subscribers on one node: tail → rooms and pumps. Rights are the scope's; nothing here writes. */
export class Feed {
  readonly tenantId: number;
  readonly sql: Sql;
  /** Reads from the database when it is this tenant's turn. */
  readonly read: <T>(work: () => Promise<T>) => Promise<T>;
  readonly #deps: FeedDeps;
  readonly #rooms = new Map<string, LiveRoom>();
  readonly #subscribers = new Set<Subscriber>();
  readonly #listeners: Set<SegmentListener>;
  readonly #frames = new WeakMap<Segment, Map<string, Frame>>();
  #tail!: TenantTail;
  #quiet: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(deps: FeedDeps, tenantId: number, listeners: Set<SegmentListener>) {
    this.#deps = deps;
    this.tenantId = tenantId;
    this.sql = deps.sql;
    this.#listeners = listeners;
    this.read = (work) => deps.read(work, tenantId);
  }

  /** Starts following the tenant's log at its present head. Its listeners outlive it: the next feed has them too. */
  static async start(
    deps: FeedDeps,
    tenantId: number,
    listeners = new Set<SegmentListener>(),
  ): Promise<Feed> {
    const feed = new Feed(deps, tenantId, listeners);
    feed.#tail = await TenantTail.start(deps, tenantId, (segment) => feed.#deliver(segment));
    return feed;
  }

  get head(): Position {
    return this.#tail.head;
  }

  get epoch(): string {
    return this.#tail.epoch;
  }

  /** Whether anybody reads from it or listens to it. */
  get isInUse(): boolean {
    return this.#subscribers.size + this.#listeners.size > 0;
  }

  offer(group: CommittedGroup): void {
    this.#tail.offer(group);
  }

  advanceTo(version: number): void {
    this.#tail.advanceTo(version);
  }

  /** Resolves when the log has been read up to `version`, or when it cannot be: look at the head then. */
  reached(version: number): Promise<void> {
    return this.#tail.reached(version);
  }

  findSegment(version: number): Segment | undefined {
    return this.#tail.findSegment(version);
  }

  /** Hears every later piece of the log, in order, once (chat). Returns how to stop. */
  listen(listener: SegmentListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  add(subscriber: Subscriber): void {
    if (this.#closed) {
      subscriber.end();
      return;
    }
    this.#subscribers.add(subscriber);
    subscriber.pump();
  }

  remove(subscriber: Subscriber): void {
    this.#subscribers.delete(subscriber);
    subscriber.close();
  }

  /** Called by a subscriber that is at the head and has credit. */
  joinRoom(subscriber: Subscriber): LiveRoom {
    const { scope } = subscriber;
    const name = `live:${this.tenantId}:${scope.key}`;
    const room = this.#rooms.get(name) ?? { name, scope, cursor: this.head, members: new Set() };
    this.#rooms.set(name, room);
    // members may stand before a piece that held nothing for them: all must be at one cursor
    this.#flush(room);
    room.members.add(subscriber);
    // its last member may just have left over that frame, and have taken the room off the list with it
    this.#rooms.set(name, room);
    return room;
  }

  leaveRoom(room: LiveRoom, subscriber: Subscriber): void {
    room.members.delete(subscriber);
    if (room.members.size === 0) this.#rooms.delete(room.name);
  }

  onPumpError(subscriber: Subscriber, error: unknown): void {
    if (this.#closed || subscriber.closed) return;
    this.#deps.log.warn({ err: error, tenantId: this.tenantId }, 'delivery stalled, trying again');
    setTimeout(() => subscriber.pump(), 500).unref();
  }

  /** The frame of a segment for a scope, made once for all who need it. */
  frameOf(scope: Scope, segment: Segment, from: Position): Frame {
    const byScope = this.#frames.get(segment) ?? new Map<string, Frame>();
    this.#frames.set(segment, byScope);
    const key = `${scope.key}/${from.version}`;
    const known = byScope.get(key);
    if (known) return known;
    const changes = viewOf(scope, segment.changes);
    const delta = {
      from: formatCursor(this.epoch, from, scope.key),
      to: formatCursor(this.epoch, segment, scope.key),
      more: false,
      changes,
    };
    const frame = { delta, bytes: Buffer.byteLength(JSON.stringify(changes)) + 200 };
    byScope.set(key, frame);
    return frame;
  }

  /** Its log is no more: everyone is cut off and comes back, to what there is now. */
  retire(): void {
    const subscribers = [...this.#subscribers];
    this.close();
    for (const subscriber of subscribers) subscriber.end();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#quiet);
    for (const subscriber of [...this.#subscribers]) this.remove(subscriber);
  }

  #deliver(segment: Segment): void {
    if (this.#closed) return;
    for (const listener of this.#listeners) listener(segment);
    for (const room of [...this.#rooms.values()]) {
      const frame = this.frameOf(room.scope, segment, room.cursor);
      if (frame.delta.changes.length > 0) this.#emit(room, frame, segment);
    }
    for (const subscriber of this.#subscribers) subscriber.pump();
    this.#quiet ??= setTimeout(() => {
      this.#quiet = undefined;
      for (const room of [...this.#rooms.values()]) this.#flush(room);
    }, QUIET_MS).unref();
  }

  /** Brings a room's members to the head over pieces that hold nothing for them. */
  #flush(room: LiveRoom): void {
    if (room.cursor.version === this.head.version) return;
    const delta = {
      from: formatCursor(this.epoch, room.cursor, room.scope.key),
      to: formatCursor(this.epoch, this.head, room.scope.key),
      more: false,
      changes: [],
    };
    this.#emit(room, { delta, bytes: 200 }, this.head);
  }

  #emit(room: LiveRoom, frame: Frame, to: Position): void {
    const position = { version: to.version, mark: to.mark };
    room.cursor = position;
    this.#deps.emitToRoom(room.name, frame.delta);
    for (const member of [...room.members]) member.tookLive(position, frame.bytes);
  }
}
