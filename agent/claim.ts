import { randomUUID } from 'node:crypto';
import type { Mutation } from '../protocol/sync.ts';
import type { QueuedBatch, Settlement } from '../sdk/store.ts';
import type { Enqueue } from './creates.ts';
import type { Ledger } from './ledger.ts';

/**
 * Whether the centre has had the older rows of this branch from another installation (docs/adr/0012): one record of the
 * branch names the first installation that came. One that comes later, made by a reinstallation or by an older copy of
 * the file, finds it taken, and does not send by itself what would count twice.
 */

/** `due`: to be asked; `asked`: on its way; `theirs`: another installation was here before; `refused`: not allowed. */
export type Claim = 'due' | 'asked' | 'ours' | 'theirs' | 'refused';

/** What people have decided about the older rows that only count once when they are sent once. */
export type OlderChoice = 'adopt' | 'resend';

/** What happens to these rows: `wait` for the centre's word, `held` until somebody decides. */
export type OlderRows = 'wait' | 'send' | 'adopt' | 'held';

export const OLDER_HELD = 'older_rows_held';
const CLAIM_COLLECTION = 'settings';

type Meta = Pick<Ledger, 'findMeta' | 'setMeta'>;

export function claimOf(ledger: Meta): Claim {
  return (ledger.findMeta('claim') as Claim | undefined) ?? 'due';
}

export function chooseOlder(ledger: Meta, choice: OlderChoice | undefined): void {
  ledger.setMeta('older', choice ?? '');
}

export function olderRowsOf(ledger: Meta): OlderRows {
  const choice = ledger.findMeta('older');
  if (choice === 'adopt') return 'adopt';
  const claim = claimOf(ledger);
  if (choice === 'resend') return 'send';
  if (isRenamed(ledger)) return 'held';
  if (claim === 'ours') return 'send';
  return claim === 'theirs' || claim === 'refused' ? 'held' : 'wait';
}

/** Why older rows are held; undefined: they are not. */
export function heldReason(ledger: Meta): string | undefined {
  if (olderRowsOf(ledger) !== 'held') return undefined;
  if (isRenamed(ledger)) return HELD_RENAMED;
  return claimOf(ledger) === 'theirs' ? HELD : HELD_REFUSED;
}

/** The mapping names movements of a table that it did not name before. */
function isRenamed(ledger: Meta): boolean {
  return ledger.findMeta('renamed') === 'yes';
}

/** The older rows have been gone through: what was decided about them is over. */
export function finishOlder(ledger: Meta): void {
  // What triggers may miss later was never sent by anybody.
  if (claimOf(ledger) === 'theirs') ledger.setMeta('claim', 'ours');
  ledger.setMeta('renamed', '');
  chooseOlder(ledger, undefined);
}

const CHOICES =
  'agent install --adopt takes what the centre has as it is and sends none of them, agent install --resend sends those that it did not get from a first run before';
const HELD = `another installation of this branch has been at the centre before this one (the agent was reinstalled, or the database is a copy from before it was installed): older movements without a head would count twice and are not sent. Decide: ${CHOICES} (docs/AGENT.md, "Reinstalled, or an old copy")`;
const HELD_RENAMED = `the mapping takes movements from a table that it did not name before: if the table was renamed, the centre has its older movements without a head, and they would count twice; they are not sent. Decide: ${CHOICES}`;
const HELD_REFUSED = `the centre did not take the record ${CLAIM_COLLECTION} of this installation, so it cannot be known whether older movements were sent before; they are not sent. Let the client write it and start the agent again, or decide: ${CHOICES}`;

function claimId(partition: string): string {
  return `${partition}/agent`;
}

export function isClaim({ mutations }: Pick<QueuedBatch, 'mutations'>, partition: string): boolean {
  const [first] = mutations;
  return first?.collection === CLAIM_COLLECTION && first.id === claimId(partition);
}

/** Puts the question into the outbox. Run inside a transaction. */
export function askClaim(ledger: Meta, partition: string, enqueue: Enqueue): void {
  const installation = ledger.findMeta('installId') ?? '';
  const claim: Mutation = {
    collection: CLAIM_COLLECTION,
    id: claimId(partition),
    op: 'put',
    partition,
    data: { value: { installation } },
  };
  enqueue({ batchId: randomUUID(), mutations: [claim] });
  ledger.setMeta('claim', 'asked');
}

/** The centre may be another one, or may have lost what it had. */
export function askAgain(ledger: Meta): void {
  if (claimOf(ledger) !== 'asked') ledger.setMeta('claim', 'due');
}

/** The centre's word. Run inside the transaction that settles the batch. */
export function settleClaim(ledger: Meta, { verdict }: Settlement): void {
  const claim = claimIn(verdict?.results[0], ledger.findMeta('installId') ?? '');
  // The older rows have been gone through: there is nothing left to be asked.
  const isOver = claim === 'theirs' && ledger.findMeta('backfill') === 'done';
  ledger.setMeta('claim', isOver ? 'ours' : claim);
}

function claimIn(
  result: NonNullable<Settlement['verdict']>['results'][number] | undefined,
  own: string,
): Claim {
  if (result?.status === 'applied' || result?.status === 'merged') return 'ours';
  if (result?.status !== 'conflict') return 'refused';
  return holderOf(result.conflict?.theirs?.['value']) === own ? 'ours' : 'theirs';
}

function holderOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'installation' in value
    ? value.installation
    : undefined;
}
