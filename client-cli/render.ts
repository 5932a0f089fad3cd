import type { Change, ChatMessage, LinkState, Presence, Room, StoredRecord } from '../sdk/index.ts';
import type { InputFault } from '../protocol/errors.ts';
import type { CliError } from './failure.ts';
import { table } from './table.ts';
import { clean, fit, padEnd, widthOf, wrap } from './terminal-text.ts';
import type { Theme } from './terminal-text.ts';

/** Everything a person reads is put together here. What comes from outside passes `clean` first. */

/** Where lines go: how wide it is, and whether it has colours. */
export interface Paper {
  theme: Theme;
  /** Columns; undefined: not a terminal, lines are as long as they need to be. */
  columns: number | undefined;
}

/** What a record was before a change, as far as it has been seen. */
export type Before = { quantity?: number | undefined; status?: string | undefined } | undefined;

const PARTITION_COLUMNS = 16;
const MAX_MESSAGE_LINES = 20;

/** `12:04:31  united-kingdom    invoice 536365  sale  139.12  7 lines`. */
export function changeLine({ theme, columns }: Paper, change: Change, before: Before): string {
  const what = clean(describe(change, before));
  const partition = padEnd(fit(clean(change.partition), PARTITION_COLUMNS), PARTITION_COLUMNS);
  const time = clockTime(change.at);
  const room = columns === undefined ? Infinity : columns - widthOf(time) - PARTITION_COLUMNS - 4;
  const paint = change.op === 'put' ? paintOf(theme, change) : theme.red;
  return `${theme.dim(time)}  ${theme.cyan(partition)}  ${paint(fit(what, room))}`;
}

/** What happened to a record, in words. */
function describe(change: Change, before: Before): string {
  const noun = NOUNS[change.collection] ?? change.collection;
  const { data } = change;
  const name = nameOf(change.collection, change.id, data);
  if (change.op === 'delete') return `${noun} ${name}  deleted`;
  if (change.op === 'evict') return `${noun} ${name}  left ${change.partition}`;
  if (!data) return `${noun} ${name}`;
  const details = DETAILS[change.collection] ?? otherDetails;
  return `${noun} ${name}  ${details(data, before)}`.trimEnd();
}

const NOUNS: Record<string, string> = {
  fatura: 'invoice',
  stoku: 'stock',
  porosia: 'order',
  branches: 'branch',
  assets: 'asset',
  settings: 'setting',
};

type Data = Record<string, unknown>;

const DETAILS: Record<string, (data: Data, before: Before) => string> = {
  fatura: ({ kind, total, lines }) => {
    const count = Array.isArray(lines) ? lines.length : 0;
    return [text(kind), text(total), count === 1 ? '1 line' : `${count} lines`].filter(Boolean).join('  ');
  },
  stoku: (data, before) => {
    const now = data['quantity'];
    const name = text(data['name']);
    if (typeof now !== 'number') return name;
    const moved = before?.quantity === undefined ? undefined : exact(now - before.quantity);
    const step = moved === undefined || moved === 0 ? `= ${signed(now)}` : `${delta(moved)} → ${signed(now)}`;
    return name === '' ? step : `${step}  ${name}`;
  },
  porosia: (data, before) => {
    const now = text(data['status']);
    return before?.status === undefined || before.status === now ? now : `${before.status} → ${now}`;
  },
  branches: () => '',
  assets: ({ status, branch }) => [text(status), text(branch)].filter(Boolean).join('  '),
  settings: ({ value }) => `= ${text(value)}`,
};

function otherDetails(data: Data): string {
  return fit(dataText(data), 200);
}

function nameOf(collection: string, id: string, data: Data | undefined): string {
  const field = NAME_FIELDS[collection];
  return (field === undefined ? '' : text(data?.[field])) || id;
}

const NAME_FIELDS: Record<string, string> = {
  fatura: 'number',
  stoku: 'sku',
  porosia: 'number',
  branches: 'name',
  assets: 'name',
};

function paintOf(theme: Theme, { collection }: Change): (text: string) => string {
  if (collection === 'fatura') return theme.green;
  return collection === 'porosia' ? theme.yellow : (plain) => plain;
}

/** `… and 340 more changes (32 fatura, 308 stoku)`. */
export function omittedLine(theme: Theme, counts: ReadonlyMap<string, number>): string {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const parts = [...counts].map(([collection, count]) => `${count} ${clean(collection)}`).join(', ');
  return theme.dim(`          … and ${total} more (${parts})`);
}

/** The state of a connection as a remark; undefined: nothing worth a line. */
export function stateLine(theme: Theme, state: LinkState): string | undefined {
  if (state.name === 'live') return theme.green('● connected');
  if (state.name === 'offline' && state.retryInMs > 0) {
    const wait = (state.retryInMs / 1_000).toFixed(state.retryInMs < 10_000 ? 1 : 0);
    return theme.yellow(`○ not connected: trying again in ${wait} s (attempt ${state.attempt})`);
  }
  if (state.name === 'refused')
    return theme.red(`○ refused: ${clean(state.code)}: ${clean(state.message ?? state.code)}`);
  return undefined;
}

/** One mark that says how the connection is. */
export function stateMark(theme: Theme, state: LinkState): string {
  if (state.name === 'live') return theme.green('●');
  return state.name === 'refused' ? theme.red('○ refused') : theme.yellow('○ offline');
}

export function snapshotText(received: number): string {
  return `reading records: ${received}`;
}

/** A record in full: its fields, one a line. */
export function recordLines({ theme }: Paper, record: StoredRecord): string[] {
  const { collection, id, partition, recordVersion, data } = record;
  const head = `${theme.bold(`${clean(collection)} ${clean(id)}`)}  ${theme.dim(`partition ${clean(partition)}, version ${recordVersion}`)}`;
  return [head, ...jsonLines(JSON.stringify(data, null, 2))];
}

export function recordTable(paper: Paper, records: readonly StoredRecord[]): string[] {
  const rows = records.map(({ id, partition, recordVersion, data }) => [
    id,
    partition,
    String(recordVersion),
    dataText(data),
  ]);
  return table(paper, ['id', 'partition', 'version', 'data'], rows);
}

/** `sku=85123A  quantity=34  lines=[7]`. */
function dataText(data: Data): string {
  const show = (value: unknown): string => (Array.isArray(value) ? `[${value.length}]` : text(value));
  return Object.entries(data)
    .map(([field, value]) => `${field}=${show(value)}`)
    .join('  ');
}

/** A chat message; all but its first line are indented, so that none can pass for another message. */
export function messageLines(
  { theme, columns = Infinity }: Paper,
  message: ChatMessage,
  here?: string,
): string[] {
  const { room, from, at, body } = message;
  const time = clockTime(at);
  const place = room === here ? '' : `#${clean(room)} `;
  const name = clean(fullName(from.username, from.displayName));
  const head = `${theme.dim(time)} ${theme.magenta(place)}${theme.bold(name)}  `;
  const [first = '', ...rest] = body.split(/\r\n|\r|\n/).map(clean);
  // The first line has the head before it: room is made for it, and taken off again.
  const filler = 'x'.repeat(widthOf(`${time} ${place}${name}  `));
  const [top = ''] = wrap(filler + first, columns);
  const over = first.slice(top.length - filler.length).trimStart();
  const further = [...(over === '' ? [] : [over]), ...rest].flatMap((line) =>
    wrap(line, columns - INDENT.length),
  );
  const shown = further.slice(0, MAX_MESSAGE_LINES - 1);
  const left = further.length - shown.length;
  const indent = theme.dim(INDENT);
  return [
    head + top.slice(filler.length),
    ...shown.map((line) => indent + line),
    ...(left > 0 ? [`${indent}${theme.dim(`… ${left} more lines`)}`] : []),
  ];
}

const INDENT = '         │ ';

export function roomTable(paper: Paper, rooms: readonly Room[]): string[] {
  const rows = rooms.map(({ room, title, member, lastSeq, readSeq }) => {
    const unread = member ? lastSeq - readSeq : 0;
    return [`#${room}`, title, member ? 'joined' : 'no', unread > 0 ? String(unread) : '', String(lastSeq)];
  });
  return table(paper, ['room', 'title', 'member', 'unread', 'messages'], rows);
}

export function presenceTable(paper: Paper, presence: readonly Presence[]): string[] {
  const order = (one: Presence): string => `${one.kind === 'user' ? 0 : 1}${one.name}`;
  const rows = [...presence]
    .sort((a, b) => (order(a) < order(b) ? -1 : 1))
    .map((one) => [
      fullName(one.name, one.displayName),
      one.kind === 'user' ? 'person' : one.kind === 'client' ? 'agent' : one.kind,
      one.status,
      one.queue === undefined ? '' : String(one.queue),
      one.lag === undefined ? '' : String(one.lag),
      one.inbox === undefined ? '' : String(one.inbox),
      shortTime(one.since),
      one.text ?? '',
    ]);
  const paint = (cell: string, column: number): string =>
    column === 2 ? statusColour(paper.theme, cell) : cell;
  return table(paper, ['name', 'kind', 'status', 'queue', 'lag', 'refused', 'since', 'text'], rows, paint);
}

/** `Ana Kola (ana)`: anybody may want to be called anything, so the username stays beside it. */
export function fullName(name: string, displayName: string | undefined): string {
  return displayName === undefined || displayName === name ? name : `${displayName} (${name})`;
}

/** `ana, ben (away)`. */
export function hereText(presence: Iterable<Presence>): string {
  const here = [...presence].filter((one) => one.kind === 'user' && one.status !== 'offline');
  const named = here.map(
    (one) => clean(fullName(one.name, one.displayName)) + (one.status === 'online' ? '' : ` (${one.status})`),
  );
  return named.sort().join(', ');
}

export function presenceLine(theme: Theme, one: Presence): string {
  const words = one.text === undefined || one.text === '' ? '' : `: ${clean(one.text)}`;
  return theme.dim(`         ${clean(one.name)} is ${one.status}${words}`);
}

/** `name  value` lines, the names padded. */
export function pairLines({ theme }: Paper, pairs: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `  ${theme.dim(padEnd(name, width))}  ${clean(value)}`);
}

export function failureLines(theme: Theme, { message, hint, faults }: CliError): string[] {
  return [
    `${theme.red('error:')} ${clean(message)}`,
    ...faults.map(faultLine),
    ...(hint === undefined ? [] : [`${theme.dim('hint:')}  ${clean(hint)}`]),
  ];
}

/** `  password: at least 8 characters`. */
export function faultLine({ path, message }: InputFault): string {
  return `  ${path === '' ? '' : `${clean(path)}: `}${clean(message)}`;
}

/** `12:04:31` of the reader's day. */
export function clockTime(at: string): string {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return '--:--:--';
  return [time.getHours(), time.getMinutes(), time.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
}

function shortTime(at: string): string {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return '';
  const today = new Date().toDateString() === time.toDateString();
  const day = `${String(time.getDate()).padStart(2, '0')}.${String(time.getMonth() + 1).padStart(2, '0')}.`;
  return today ? clockTime(at).slice(0, 5) : day;
}

function statusColour(theme: Theme, cell: string): string {
  const word = cell.trim();
  if (word === 'online') return theme.green(cell);
  return word === 'offline' ? theme.dim(cell) : theme.yellow(cell);
}

function jsonLines(json: string): string[] {
  return json.split('\n').map(clean);
}

function text(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Sums of decimals, without the dust of binary fractions. */
function exact(value: number): number {
  return Number(value.toFixed(6));
}

function signed(value: number): string {
  return value < 0 ? `−${-value}` : String(value);
}

function delta(value: number): string {
  return value > 0 ? `+${value}` : signed(value);
}

/** The gateway's part of a branch agent's configuration, as JSON to copy; secret or key stand in a file of their own. */
export function agentSnippet(agent: {
  gateway: string;
  clientId: string;
  proof: 'secret' | 'key';
  partition?: string;
}): string[] {
  const { partition, proof, ...gateway } = agent;
  const named = {
    ...gateway,
    ...(proof === 'key' ? { privateKeyFile: 'branch.key' } : { clientSecretFile: 'branch.secret' }),
    ...(partition !== undefined && { partition }),
  };
  return jsonLines(JSON.stringify(named, null, 2));
}
