import type {
  Change,
  LinkState,
  Replica,
  SnapshotRecord,
  StoredRecord,
  SyncClient,
} from '../../../sdk/index.ts';
import { createMinuteCounts, parseDated, type MinuteCounts } from './minutes.ts';
import { createServerClock, type ServerClock } from './server-clock.ts';
import { createSignal, type Signal } from './signal.ts';
import { createStockPivot, type StockPivot } from './stock.ts';
import { createVersionedList, type VersionedList } from './versioned-list.ts';

export const COLLECTIONS = ['fatura', 'stoku', 'porosia'] as const;
type Collection = (typeof COLLECTIONS)[number];

export interface InvoiceRow {
  id: string;
  version: number;
  branch: string;
  number: string;
  date: string;
  credit: boolean;
  total: string;
  customer: string;
}

export interface OrderRow {
  id: string;
  version: number;
  branch: string;
  number: string;
  status: string;
  customer: string;
}

export interface Frames {
  /** When something last arrived, in epoch ms; null: nothing so far. */
  at: number | null;
  /** The tenant's version as of the last change that was applied here. */
  version: number;
  /** More frames are known to follow. */
  behind: boolean;
}

/** The views the pages draw from, kept up to date from the replica: light rows only, whole records are read on demand. */
export interface Records {
  invoices: VersionedList<InvoiceRow>;
  orders: VersionedList<OrderRow>;
  stock: StockPivot;
  minutes: MinuteCounts;
  signals: Record<Collection, Signal>;
  /** Frames and the progress of reading. */
  progress: Signal;
  frames: () => Frames;
  /** Records read from the local copy so far while it is being read; null: done. */
  reading: () => number | null;
  /** Nothing is here, of any collection. */
  isEmpty: () => boolean;
  /** What the records alone do not tell, for the next visit. */
  save: () => string;
  /** Reads the local copy; to be called once it is open. */
  load: () => Promise<void>;
  close: () => void;
}

export interface RecordsOptions {
  client: Pick<SyncClient, 'on' | 'state'> & { readonly replica: Replica };
  /** By the last visit; null: nothing, or not of this local copy. */
  saved: string | null;
  /** The browser's clock, which may be wrong. */
  now?: () => number;
}

/** Records per read: large enough to be quick, small enough to leave time for frames between. */
const PAGE = 1_000;
const CALM_MS = 120;
const FILLING_MS = 600;

export function createRecords(options: RecordsOptions): Records {
  return new LiveRecords(options);
}

class LiveRecords implements Records {
  readonly signals: Record<Collection, Signal>;
  readonly progress: Signal;
  readonly #views: Views;
  readonly #replica: Replica;
  readonly #now: () => number;
  readonly #clock: ServerClock;
  readonly #unlisten: (() => void)[];
  readonly #frames: Frames = { at: null, version: 0, behind: false };
  /** What went away while the local copy was being read: a page read earlier must not bring it back. */
  readonly #gone = new Set<string>();
  /** Many records at once: the pages are told less often. */
  #filling = true;
  #reading: number | null = 0;
  #closed = false;

  constructor({ client, saved, now = Date.now }: RecordsOptions) {
    const { at, minutes, offset } = parseSaved(saved);
    this.#frames.at = at;
    this.#clock = createServerClock(now, offset);
    const signal = (): Signal => createSignal({ intervalMs: () => (this.#filling ? FILLING_MS : CALM_MS) });
    this.signals = { fatura: signal(), stoku: signal(), porosia: signal() };
    this.progress = signal();
    this.#views = createViews(createMinuteCounts({ saved: minutes, now: this.#clock.now }));
    this.#replica = client.replica;
    this.#now = now;
    let before = client.state.name;
    this.#unlisten = [
      client.on('state', (state) => {
        if (state.name !== before) this.#listen(state, before);
        before = state.name;
      }),
      client.on('changes', ({ changes, more }) => {
        for (const change of changes) this.#apply(change);
        this.#framed(more);
      }),
      client.on('snapshot', ({ records, more }) => {
        this.#filling = more;
        for (const record of records) this.#put(record);
        this.#framed(more);
      }),
      client.on('reset', () => {
        this.#filling = true;
        this.#views.clear();
        this.minutes.forget();
        this.#touchAll();
      }),
    ];
  }

  get invoices(): Records['invoices'] {
    return this.#views.invoices;
  }

  get orders(): Records['orders'] {
    return this.#views.orders;
  }

  get stock(): StockPivot {
    return this.#views.stock;
  }

  get minutes(): MinuteCounts {
    return this.#views.minutes;
  }

  frames(): Frames {
    return this.#frames;
  }

  reading(): number | null {
    return this.#reading;
  }

  save(): string {
    const offset = this.#clock.offset();
    return JSON.stringify({ at: this.#frames.at, offset, minutes: this.minutes.save() });
  }

  isEmpty(): boolean {
    const { invoices, orders, stock } = this.#views;
    return invoices.size() === 0 && orders.size() === 0 && stock.size() === 0;
  }

  async load(): Promise<void> {
    for (const collection of COLLECTIONS) await this.#loadCollection(collection);
    this.#reading = null;
    this.#filling = false;
    this.#gone.clear();
    this.progress.touch();
    this.#touchAll();
  }

  close(): void {
    this.#closed = true;
    for (const stop of this.#unlisten) stop();
  }

  async #loadCollection(collection: Collection): Promise<void> {
    for (let after: string | undefined; !this.#closed;) {
      const from = after === undefined ? {} : { after };
      const page = await this.#replica.list(collection, { limit: PAGE, ...from });
      for (const record of page) if (!this.#gone.has(`${collection}/${record.id}`)) this.#put(record);
      this.#reading = (this.#reading ?? 0) + page.length;
      this.progress.touch();
      after = page.at(-1)?.id;
      if (page.length < PAGE) return;
    }
  }

  /** A resume brings every change there was, each with its time; a snapshot is the records alone, as of its head. */
  #listen(state: LinkState, before: LinkState['name']): void {
    // Only a fresh connection brings a fresh time: what a later state repeats is as old as the hello.
    if (before === 'connecting' && 'serverTime' in state) this.#clock.hear(state.serverTime);
    const isSnapshot = state.name === 'snapshot';
    if (isSnapshot || (state.name === 'live' && !this.minutes.begun()))
      this.minutes.begin(this.#clock.now(), state.head);
  }

  #put(record: StoredRecord | SnapshotRecord): void {
    const { collection, id, recordVersion, data } = record;
    this.#frames.version = Math.max(this.#frames.version, recordVersion);
    if (collection === 'fatura' && !this.invoices.has(id))
      this.minutes.known(recordVersion, parseDated(textOf(data['date'])));
    if (isCollection(record.collection) && this.#views.put(record)) this.signals[record.collection].touch();
  }

  #apply(change: Change): void {
    const { collection, id, op, partition, recordVersion, data } = change;
    this.#frames.version = Math.max(this.#frames.version, change.version);
    if (!isCollection(collection)) return;
    if (op === 'put' && data !== undefined) {
      this.#gone.delete(`${collection}/${id}`);
      this.#put({ collection, id, partition, recordVersion, data });
      if (collection === 'fatura') this.minutes.heard(recordVersion, Date.parse(change.at));
      return;
    }
    if (this.#reading !== null) this.#gone.add(`${collection}/${id}`);
    if (this.#views.remove(collection, id)) this.signals[collection].touch();
  }

  #framed(more: boolean): void {
    this.#frames.at = this.#now();
    this.#frames.behind = more;
    this.progress.touch();
  }

  #touchAll(): void {
    for (const collection of COLLECTIONS) this.signals[collection].touch();
  }
}

interface Saved {
  at: number | null;
  minutes: string | null;
  offset: number;
}

function parseSaved(saved: string | null): Saved {
  try {
    const { at, minutes, offset } = Object(JSON.parse(saved ?? 'null')) as Record<string, unknown>;
    return {
      at: typeof at === 'number' ? at : null,
      minutes: typeof minutes === 'string' ? minutes : null,
      offset: typeof offset === 'number' ? offset : 0,
    };
  } catch {
    return { at: null, minutes: null, offset: 0 };
  }
}

function isCollection(name: string): name is Collection {
  return (COLLECTIONS as readonly string[]).includes(name);
}

interface Views {
  invoices: VersionedList<InvoiceRow>;
  orders: VersionedList<OrderRow>;
  stock: StockPivot;
  minutes: MinuteCounts;
  put: (record: StoredRecord | SnapshotRecord) => boolean;
  remove: (collection: Collection, id: string) => boolean;
  clear: () => void;
}

function createViews(minutes: MinuteCounts): Views {
  const invoices = createVersionedList<InvoiceRow>();
  const orders = createVersionedList<OrderRow>();
  const stock = createStockPivot();
  const remove = { fatura: invoices.remove, stoku: stock.remove, porosia: orders.remove };
  return {
    invoices,
    orders,
    stock,
    minutes,
    put(record) {
      const { collection, id, partition, recordVersion, data } = record;
      if (collection === 'fatura') return invoices.put(toInvoice(record));
      if (collection === 'porosia') return orders.put(toOrder(record));
      return stock.put(id, partition, recordVersion, data);
    },
    remove: (collection, id) => remove[collection](id),
    clear() {
      invoices.clear();
      orders.clear();
      stock.clear();
    },
  };
}

function toInvoice({ id, partition, recordVersion, data }: StoredRecord | SnapshotRecord): InvoiceRow {
  return {
    id,
    version: recordVersion,
    branch: partition,
    number: textOf(data['number']) || id,
    date: textOf(data['date']),
    credit: data['kind'] === 'credit',
    total: textOf(data['total']),
    customer: textOf(data['customer']),
  };
}

function toOrder({ id, partition, recordVersion, data }: StoredRecord | SnapshotRecord): OrderRow {
  return {
    id,
    version: recordVersion,
    branch: partition,
    number: textOf(data['number']) || id,
    status: textOf(data['status']),
    customer: textOf(data['customer']),
  };
}

/** Records come from others: whatever is not text or a number shows as nothing. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' ? String(value) : '';
}
