import { z } from 'zod';
import { AppError } from '../../protocol/errors.ts';
import type { Config } from '../config.ts';
import type { Sql } from '../db.ts';
import type { IdentityCore } from './core.ts';

/** Sessions that have ended, for services which check tokens by themselves. */
export interface FeedPage {
  /** Where to go on. */
  cursor: string;
  /** There is more to read at once. */
  more: boolean;
  /** This begins anew: it holds all that still matters, whatever was read before. */
  reset: boolean;
  revoked: { sid: string; at: Date }[];
}

const PAGE = 1_000;
/** Tokens live so much longer than JWT_EXPIRES_IN says: skew, and one that was being signed when its session ended. */
const SPARE_SECONDS = 60;

/** For how long after its end a session can still have tokens that have not expired. */
export function feedWindow({ JWT_EXPIRES_IN }: Pick<Config, 'JWT_EXPIRES_IN'>): number {
  return JWT_EXPIRES_IN + SPARE_SECONDS;
}

/**
 * What has been read: everything that `seen`, a snapshot of the database, could see; null: nothing yet. While a reader pages, `next` is
 * the snapshot of its first page, with which it goes on when it is through, and `after` the last session it was told.
 *
 * A revocation is news to who has not seen its transaction. Neither the time of the revocation nor the number of its transaction would
 * do for a cursor: one that began earlier may be committed later, and would be skipped.
 */
const snapshot = z
  .string()
  .max(20_000)
  .regex(/^\d+:\d+:[\d,]*$/);
const place = z.strictObject({
  seen: snapshot.nullable(),
  next: snapshot.optional(),
  after: z.uuid().optional(),
});
type Place = z.output<typeof place>;

/** Reads on from a cursor. Throws `invalid_request` for one that is none. */
export async function readFeed(
  core: Pick<IdentityCore, 'db' | 'config'>,
  tenantId: number,
  cursor: string | undefined,
): Promise<FeedPage> {
  const from = cursor === undefined ? START : parseCursor(cursor);
  const known = await readPage(core, tenantId, from);
  // a database that has been put back in time gives its numbers out again
  return known ?? (await readPage(core, tenantId, START)) ?? unreachable();
}

const START: Place = { seen: null };

interface PageRow {
  horizon: string;
  /** The snapshot that was handed in is one of this database's past. */
  is_past: boolean;
  page: { sid: string; at: string }[];
}

/** Undefined when the place is none that this database has been at. */
async function readPage(
  { db, config }: Pick<IdentityCore, 'db' | 'config'>,
  tenantId: number,
  from: Place,
): Promise<FeedPage | undefined> {
  const values = [tenantId, feedWindow(config), from.seen, from.after ?? null, PAGE + 1];
  const row = await findPage(db.sql, [...values, from.next ?? null]);
  if (row?.is_past !== true) return undefined;
  const page = row.page.slice(0, PAGE);
  const more = row.page.length > PAGE;
  const next = from.next ?? row.horizon;
  const place: Place = more ? { seen: from.seen, next, after: page.at(-1)?.sid } : { seen: next };
  return {
    cursor: Buffer.from(JSON.stringify(place)).toString('base64url'),
    more,
    reset: from.seen === null && from.after === undefined,
    revoked: page.map(({ sid, at }) => ({ sid, at: new Date(at) })),
  };
}

async function findPage(sql: Sql, values: unknown[]): Promise<PageRow | undefined> {
  try {
    return (await sql<PageRow>(FIND, values))[0];
  } catch (error) {
    // a snapshot that is none, in a cursor that was made up
    if ((error as { code?: string }).code === '22P02') throw badCursor();
    throw error;
  }
}

/**
 * One statement, for its rows and its horizon to be of one snapshot. A session that a version from before ended has no transaction on
 * record: who reads from the start alone is told of it.
 */
const FIND = `
  SELECT pg_current_snapshot()::text AS horizon,
         coalesce(pg_snapshot_xmax($3::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot()), true)
         AND coalesce(pg_snapshot_xmax($6::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot()), true) AS is_past,
         (SELECT coalesce(json_agg(ended), '[]') FROM (
            SELECT id AS sid, revoked_at AS at FROM sessions
            WHERE tenant_id = $1 AND revoked_at > clock_timestamp() - make_interval(secs => $2)
              AND ($3::pg_snapshot IS NULL OR NOT pg_visible_in_snapshot(revoked_xid::text::xid8, $3::pg_snapshot))
              AND ($4::uuid IS NULL OR id > $4)
            ORDER BY id LIMIT $5) ended) AS page`;

function parseCursor(cursor: string): Place {
  try {
    return place.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
  } catch {
    throw badCursor();
  }
}

function badCursor(): AppError {
  return new AppError('invalid_request', { message: 'That is no cursor of this feed: begin without one.' });
}

function unreachable(): never {
  throw new Error('the start of the feed could not be read');
}
