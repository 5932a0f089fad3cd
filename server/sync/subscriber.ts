import type { Delta, Snapshot } from '../../protocol/sync.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { formatCursor, formatPage } from './cursor.ts';
import type { Position } from './cursor.ts';
import type { SnapshotPlace } from './log.ts';
import { readLogPage, readSnapshotPage } from './log.ts';
import type { Feed, LiveRoom } from './feed.ts';
import type { Scope } from './scope.ts';
import { viewOf } from './scope.ts';

/** Where frames go: a socket, reduced to what delivery needs. */
export interface FrameSink {
  sendDelta(frame: Delta): void;
  sendSnapshot(frame: Snapshot): void;
  /** Joins or leaves the room in which one encoding of a frame serves every member. */
  joinRoom(room: string): void;
  leaveRoom(room: string): void;
  /** Ends the connection: the log it was on is no more, and the client has to say hello to the one there is. */
  end(): void;
}

/** A frame on its way: freed by the acknowledgement of its position. */
interface InFlight {
  /** Version of a delta's `to`; null for a page of the snapshot. */
  version: number | null;
  page: string | null;
  bytes: number;
}

const SNAPSHOT_START_ROWS = 200;
const SNAPSHOT_MAX_ROWS = 2_000;
const SNAPSHOT_FRAME_BYTES = 256 * 1024;

/**
 * One socket's way through the log. It pumps from its own cursor: the snapshot, the catch-up and the live stream are
 * one path with no hand-over to race. Only while it is caught up and has credit does it stand in the live room.
 */
export class Subscriber {
  readonly #feed: Feed;
  readonly #sink: FrameSink;
  readonly scope: Scope;
  #cursor: Position;
  #snapshot: { place: SnapshotPlace; rows: number } | null;
  #inFlight: InFlight[] = [];
  #inFlightBytes = 0;
  #acknowledged: number;
  #room: LiveRoom | undefined;
  #pumping = false;
  /** The last run threw: the feed tries again after a moment. */
  #failed = false;
  #closed = false;

  /** `start.snapshot`: where the snapshot goes on, or null when the subscriber resumes from its cursor. */
  constructor(
    feed: Feed,
    sink: FrameSink,
    scope: Scope,
    start: { cursor: Position; snapshot: SnapshotPlace | null },
  ) {
    this.#feed = feed;
    this.#sink = sink;
    this.scope = scope;
    this.#cursor = start.cursor;
    this.#acknowledged = start.snapshot ? 0 : start.cursor.version;
    this.#snapshot = start.snapshot && { place: start.snapshot, rows: SNAPSHOT_START_ROWS };
  }

  /** The version up to which the client has said that it has stored everything. */
  get acknowledged(): number {
    return this.#inFlight.length === 0 && !this.#snapshot ? this.#cursor.version : this.#acknowledged;
  }

  get hasCredit(): boolean {
    return this.#inFlight.length < LIMITS.creditFrames && this.#inFlightBytes < LIMITS.creditBytes;
  }

  /** Goes on until caught up or out of credit. Never runs twice at once; safe to call at any time. */
  pump(): void {
    if (this.#pumping || this.#closed || this.#room) return;
    this.#pumping = true;
    this.#failed = false;
    this.#run()
      .catch((error: unknown) => {
        this.#failed = true;
        this.#feed.onPumpError(this, error);
      })
      .finally(() => {
        this.#pumping = false;
        // woken while the last page was being read
        if (!this.#closed && !this.#room && this.hasCredit && !this.#failed && this.#isBehind()) this.pump();
      });
  }

  /** The client has stored everything up to a delta's `to` or up to a page: its credits are free again. */
  acknowledge(ack: { version: number } | { page: string }): void {
    // made up: nothing of the kind was ever sent
    if ('version' in ack && ack.version > this.#feed.head.version) return;
    const upto =
      'page' in ack
        ? this.#inFlight.findLastIndex((frame) => frame.page === ack.page)
        : this.#lastUpTo(ack.version);
    if (upto < 0) return;
    if ('version' in ack) this.#acknowledged = ack.version;
    for (const frame of this.#inFlight.splice(0, upto + 1)) this.#inFlightBytes -= frame.bytes;
    this.pump();
  }

  /** A frame that the whole live room was sent. Out of credit, it leaves the room and pumps later. */
  tookLive(to: Position, bytes: number): void {
    this.#cursor = to;
    this.#track({ version: to.version, page: null, bytes });
    if (!this.hasCredit) this.#leaveRoom();
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
    this.#leaveRoom();
  }

  /** Closes, and the connection with it. */
  end(): void {
    this.close();
    this.#sink.end();
  }

  async #run(): Promise<void> {
    while (!this.#closed && this.hasCredit) {
      if (this.#snapshot) await this.#sendPage(this.#snapshot);
      else if (this.#isBehind()) await this.#sendNext();
      else {
        this.#joinRoom();
        break;
      }
    }
  }

  #isBehind(): boolean {
    return this.#snapshot !== null || this.#cursor.version < this.#feed.head.version;
  }

  async #sendPage(snapshot: { place: SnapshotPlace; rows: number }): Promise<void> {
    const { sql, tenantId } = this.#feed;
    const page = { after: snapshot.place, limit: snapshot.rows };
    const records = await this.#read(() => readSnapshotPage(sql, tenantId, this.scope, page));
    if (this.#closed || !records) return;
    const last = records.at(-1);
    const at = this.#format(this.#cursor);
    const place = last ? { collection: last.collection, id: last.id } : snapshot.place;
    const frame = { page: formatPage(at, place), at, more: last !== undefined, records };
    const bytes = Buffer.byteLength(JSON.stringify(records)) + 200;
    this.#snapshot = last ? { place, rows: nextRows(snapshot.rows, bytes) } : null;
    this.#track({ version: null, page: frame.page, bytes });
    this.#sink.sendSnapshot(frame);
  }

  /** Reads nothing when it was closed while it waited for its turn. */
  async #read<T>(work: () => Promise<T>): Promise<T | undefined> {
    return await this.#feed.read(async () => (this.#closed ? undefined : await work()));
  }

  async #sendNext(): Promise<void> {
    const segment = this.#feed.findSegment(this.#cursor.version);
    const { sql, tenantId } = this.#feed;
    const from = this.#cursor;
    // never beyond what the feed knows: the live room is joined at the feed's head
    const { head } = this.#feed;
    const page = segment ?? (await this.#read(() => readLogPage(sql, tenantId, from.version, head.version)));
    if (this.#closed) return;
    // of another history is as good as not there: the next poll finds out, and ends it (E7)
    if (!page || ('afterMark' in page && page.afterMark !== from.mark))
      throw new Error(`the log has nothing behind version ${from.version}`);
    const frame = segment ? this.#feed.frameOf(this.scope, segment, from) : undefined;
    const changes = frame?.delta.changes ?? viewOf(this.scope, page.changes);
    const delta = {
      from: this.#format(from),
      to: this.#format(page),
      more: page.version < this.#feed.head.version,
      changes,
    };
    this.#cursor = { version: page.version, mark: page.mark };
    this.#track({
      version: page.version,
      page: null,
      bytes: frame?.bytes ?? Buffer.byteLength(JSON.stringify(changes)) + 200,
    });
    this.#sink.sendDelta(delta);
  }

  #joinRoom(): void {
    this.#room = this.#feed.joinRoom(this);
    this.#sink.joinRoom(this.#room.name);
  }

  #leaveRoom(): void {
    if (!this.#room) return;
    this.#sink.leaveRoom(this.#room.name);
    this.#feed.leaveRoom(this.#room, this);
    this.#room = undefined;
  }

  #track(frame: InFlight): void {
    this.#inFlight.push(frame);
    this.#inFlightBytes += frame.bytes;
  }

  #lastUpTo(version: number): number {
    return this.#inFlight.findLastIndex((frame) => frame.version !== null && frame.version <= version);
  }

  #format(position: Position): string {
    return formatCursor(this.#feed.epoch, position, this.scope.key);
  }
}

/** Pages grow or shrink towards a frame of about `SNAPSHOT_FRAME_BYTES`. */
function nextRows(rows: number, bytes: number): number {
  return Math.max(
    1,
    Math.min(SNAPSHOT_MAX_ROWS, Math.ceil((rows * SNAPSHOT_FRAME_BYTES) / Math.max(bytes, 1)), rows * 4),
  );
}
