import type { SecretBox } from './auth/secret-box.ts';
import type { Database, Sql } from './db.ts';

/**
 * The audit log is sealed a while after it was written, so that a commit does not wait for a chain. A seal covers every row of a
 * tenant between two times; a row's time is the start of its transaction, so once no older transaction is open, nothing can still
 * be added there. Seals hold each other, under a key that the database does not have (S62).
 */

/** How old rows are when they are sealed. */
const LAG = '2 minutes';
/** Rows one seal covers, about. */
const SEAL_ROWS = 50_000;
const LOCK = 0x5ea1;

/** Times as text: JavaScript's dates would lose the microseconds. */
interface Seal {
  number: number;
  from_at: string;
  to_at: string;
  row_count: number;
  digest: Buffer;
  prev_mac: Buffer;
  mac: Buffer;
}

/** A seal as it was made: what an operator can hold the table against. */
export interface MadeSeal {
  tenantId: number;
  number: number;
  mac: Buffer;
}

const BEGINNING = '-infinity';
const COLUMNS = 'number, from_at::text, to_at::text, row_count, digest, prev_mac, mac';

/** What the rows are, in one value: the same columns and order for whoever asks. */
const DIGEST = `
  SELECT count(*)::bigint AS row_count, sha256(coalesce(string_agg(sha256(convert_to(jsonb_build_array(id, extract(epoch FROM at),
           action, principal, success, code, ip, request_id, details)::text, 'UTF8')), ''::bytea ORDER BY at, id), ''::bytea)) AS digest
  FROM audit_logs WHERE tenant_id = $1 AND at >= $2::timestamptz AND at < $3::timestamptz`;

/** Up to here nothing can be added any more. Backends of other roles hide their times, but only this one writes here. */
const SETTLED = `
  SELECT least(now() - $1::interval, (SELECT min(xact_start) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()))::text AS until`;
/** The time of the row at a place of a span. */
const AT_PLACE = `
  SELECT at::text FROM audit_logs WHERE tenant_id = $1 AND at >= $2::timestamptz AND at < $3::timestamptz
  ORDER BY at OFFSET $4 LIMIT 1`;

/**
 * Seals what has settled, for every tenant. Does nothing where another node is at it. Returns the seals it made.
 * `lag`: how old rows must be, as PostgreSQL writes intervals.
 */
export async function sealAudit(
  { db, box }: { db: Database; box: SecretBox },
  lag: string = LAG,
): Promise<MadeSeal[]> {
  return await db.transaction(async ({ sql }) => {
    const [lock] = await sql<{ held: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS held', [LOCK]);
    if (lock?.held !== true) return [];
    const [settled] = await sql<{ until: string }>(SETTLED, [lag]);
    const made: MadeSeal[] = [];
    for (const { id } of await sql<{ id: number }>('SELECT id FROM tenants'))
      made.push(...(await sealTenant(sql, box, { tenantId: id, until: settled?.until ?? BEGINNING })));
    return made;
  });
}

async function sealTenant(
  sql: Sql,
  box: SecretBox,
  { tenantId, until }: { tenantId: number; until: string },
): Promise<MadeSeal[]> {
  const made: MadeSeal[] = [];
  let [last] = await sql<Pick<Seal, 'number' | 'to_at' | 'mac'>>(
    'SELECT number, to_at::text, mac FROM audit_seals WHERE tenant_id = $1 ORDER BY number DESC LIMIT 1',
    [tenantId],
  );
  for (;;) {
    const from = last?.to_at ?? BEGINNING;
    const to = await findEnd(sql, { tenantId, from, until });
    if (to === undefined) return made;
    const content = await digestOf(sql, tenantId, from, to);
    const number = (last?.number ?? 0) + 1;
    const seal = { number, from_at: from, to_at: to, ...content, prev_mac: last?.mac ?? Buffer.alloc(0) };
    const mac = macOf(box, tenantId, seal);
    await sql(
      `INSERT INTO audit_seals (tenant_id, number, from_at, to_at, row_count, digest, prev_mac, mac)
       VALUES ($1, $2, $3::timestamptz, $4::timestamptz, $5, $6, $7, $8)`,
      [tenantId, number, from, to, seal.row_count, seal.digest, seal.prev_mac, mac],
    );
    made.push({ tenantId, number, mac });
    last = { number, to_at: to, mac };
  }
}

/** Where the next seal ends: after about SEAL_ROWS rows, else where all has settled; undefined without rows. */
async function findEnd(
  sql: Sql,
  span: { tenantId: number; from: string; until: string },
): Promise<string | undefined> {
  const values = [span.tenantId, span.from, span.until];
  const atPlace = async (place: number): Promise<string | undefined> => {
    const [row] = await sql<{ at: string }>(AT_PLACE, [...values, place]);
    return row?.at;
  };
  const first = await atPlace(0);
  if (first === undefined) return undefined;
  const beyond = await atPlace(SEAL_ROWS);
  // one transaction's rows have one time and are not cut apart
  return beyond === undefined || beyond === first ? span.until : beyond;
}

async function digestOf(
  sql: Sql,
  tenantId: number,
  from: string,
  to: string,
): Promise<Pick<Seal, 'row_count' | 'digest'>> {
  const [row] = await sql<Pick<Seal, 'row_count' | 'digest'>>(DIGEST, [tenantId, from, to]);
  if (row === undefined) throw new Error('an aggregate without a row');
  return row;
}

function macOf(box: SecretBox, tenantId: number, seal: Omit<Seal, 'mac'>): Buffer {
  const { number, from_at, to_at, row_count, digest, prev_mac } = seal;
  const parts = [
    tenantId,
    number,
    from_at,
    to_at,
    row_count,
    digest.toString('hex'),
    prev_mac.toString('hex'),
  ];
  return box.digest('audit seal', parts.join('\n'));
}

/** What is wrong with the log of a tenant between two times. */
export interface AuditFault {
  seal: number;
  from: string;
  to: string;
  /** Rows are not as they were; the seal is not as it was made; seals before it are missing. */
  fault: 'rows_changed' | 'seal_changed' | 'seals_missing';
  /** Rows that were sealed, and rows that are there. */
  rows: { sealed: number; found: number };
}

export interface AuditProof {
  ok: boolean;
  /** Number of the first seal that is kept: above 1 after the log was thinned. */
  first: number | null;
  seals: number;
  rows: number;
  /** Rows at and after this time are not sealed yet; null: none are. */
  sealedUntil: string | null;
  faults: AuditFault[];
}

const MOST_FAULTS = 20;

/** Recomputes the chain of a tenant's seals over its rows. Tells at most the first 20 faults. */
export async function verifyAudit(
  { db, box }: { db: Database; box: SecretBox },
  tenantId: number,
): Promise<AuditProof> {
  const faults: AuditFault[] = [];
  let [first, seals, rows]: [number | null, number, number] = [null, 0, 0];
  let before: Seal | undefined;
  for (;;) {
    const [seal] = await db.sql<Seal>(
      `SELECT ${COLUMNS} FROM audit_seals WHERE tenant_id = $1 AND number > $2 ORDER BY number LIMIT 1`,
      [tenantId, before?.number ?? 0],
    );
    if (seal === undefined || faults.length >= MOST_FAULTS) break;
    first ??= seal.number;
    const found = await digestOf(db.sql, tenantId, seal.from_at, seal.to_at);
    const fault = findFault(box, tenantId, { before, seal, found });
    if (fault !== undefined) {
      const { number, from_at: from, to_at: to } = seal;
      faults.push({
        seal: number,
        from,
        to,
        fault,
        rows: { sealed: seal.row_count, found: found.row_count },
      });
    }
    seals += 1;
    rows += found.row_count;
    before = seal;
  }
  return { ok: faults.length === 0, first, seals, rows, sealedUntil: before?.to_at ?? null, faults };
}

function findFault(
  box: SecretBox,
  tenantId: number,
  {
    before,
    seal,
    found,
  }: { before: Seal | undefined; seal: Seal; found: Pick<Seal, 'row_count' | 'digest'> },
): AuditFault['fault'] | undefined {
  if (!macOf(box, tenantId, seal).equals(seal.mac)) return 'seal_changed';
  const follows =
    before === undefined ||
    (before.number + 1 === seal.number && before.to_at === seal.from_at && before.mac.equals(seal.prev_mac));
  if (!follows) return 'seals_missing';
  return found.digest.equals(seal.digest) && found.row_count === seal.row_count ? undefined : 'rows_changed';
}
