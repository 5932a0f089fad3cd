import { randomUUID } from 'node:crypto';
import { SluiceError } from './errors.ts';
import type { Origin } from './file-origin.ts';
import type { FileTables } from './file-tables.ts';
import type { Identity, Position } from './store.ts';

/** What `sluice_meta` holds: who the store is, where its replica stands, and which file it was last opened as. */

export function create(tables: FileTables): void {
  tables.setMeta('clientId', randomUUID());
  tables.setMeta('incarnation', randomUUID());
  tables.setMeta('nextSeq', '1');
}

export function renew(tables: FileTables, { newClient = false } = {}): Identity {
  if (newClient) tables.setMeta('clientId', randomUUID());
  tables.setMeta('incarnation', randomUUID());
  tables.setMeta('nextSeq', String(tables.renumber() + 1));
  return readIdentity(tables);
}

export function readIdentity(tables: FileTables): Identity {
  const clientId = tables.findMeta('clientId');
  const incarnation = tables.findMeta('incarnation');
  if (clientId === undefined || incarnation === undefined)
    throw new SluiceError('store_failed', 'the store has no identity');
  return { clientId, incarnation, nextSeq: Number(tables.findMeta('nextSeq')) };
}

export function readPosition(tables: FileTables): Position {
  const [cursor = null, page = null, scope = null] = ['cursor', 'page', 'scope'].map((key) =>
    tables.findMeta(key),
  );
  return { cursor, page, scope };
}

export function writePosition(tables: FileTables, position: Position): void {
  tables.setMeta('cursor', position.cursor);
  tables.setMeta('page', position.page);
  tables.setMeta('scope', position.scope);
}

export function readOrigin(tables: FileTables): Origin | undefined {
  const text = tables.findMeta('origin');
  return text === undefined ? undefined : (JSON.parse(text) as Origin);
}
