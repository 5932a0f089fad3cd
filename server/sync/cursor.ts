import { createHash } from 'node:crypto';
import { findUnstorablePart } from './storable.ts';

/**
 * A position as clients hold it: opaque to them, here `epoch.version.mark.scope`. The mark tells this history from
 * another one that reached the same number (a restored backup); the scope tells whether the subscriber still sees the
 * same slice, for a cursor says nothing about records outside the slice it was taken in (ADR 0007).
 */
export interface Position {
  version: number;
  /** Mark of that version; 0 at the beginning. */
  mark: number;
}

export interface ParsedCursor extends Position {
  epoch: string;
  scope: string;
}

export function formatCursor(epoch: string, position: Position, scopeKey: string): string {
  return `${epoch.slice(0, 8)}.${position.version.toString(36)}.${position.mark.toString(36)}.${scopeTag(scopeKey)}`;
}

/** Reads a cursor; undefined when it is none of ours. */
export function parseCursor(text: string): ParsedCursor | undefined {
  const match = /^([0-9a-f]{8})\.([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.([\w-]{1,24})$/.exec(text);
  if (!match) return undefined;
  const [, epoch = '', version = '', mark = '', scope = ''] = match;
  return { epoch, version: parseInt(version, 36), mark: parseInt(mark, 36), scope };
}

/** A page of a snapshot: where the next one starts, and the position its deltas start from. */
export interface PagePosition extends ParsedCursor {
  collection: string;
  id: string;
}

export function formatPage(cursor: string, place: { collection: string; id: string }): string {
  return `p.${Buffer.from(JSON.stringify([cursor, place.collection, place.id])).toString('base64url')}`;
}

/** Reads the token of a snapshot page; undefined when it is none of ours. */
export function parsePage(text: string): PagePosition | undefined {
  if (!text.startsWith('p.')) return undefined;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(text.slice(2), 'base64url').toString());
    if (!Array.isArray(parsed)) return undefined;
    const [cursor, collection, id] = parsed as unknown[];
    if (typeof cursor !== 'string' || typeof collection !== 'string' || typeof id !== 'string')
      return undefined;
    // the database could not look for it
    if (findUnstorablePart([collection, id])) return undefined;
    const position = parseCursor(cursor);
    return position && { ...position, collection, id };
  } catch {
    return undefined;
  }
}

/** The name of a scope, from its canonical text: who has the same sees the same. The whole of SHA-256 (ADR 0007). */
export function scopeHash(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

/** The name as cursors carry it: 120 bits, enough to tell a client's own scopes apart. */
export function scopeTag(key: string): string {
  return key.slice(0, 20);
}
