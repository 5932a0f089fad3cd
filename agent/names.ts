import type { Ledger } from './ledger.ts';
import type { Mapping } from './mapping.ts';

/**
 * What the mapping called acts and movements so far. By these names it is known what the centre has: under another name
 * it would all be sent again, and a movement without a head would count twice.
 */
interface Names {
  /** Act to the table of its head. */
  acts: Record<string, string>;
  /** Act and table. */
  movements: string[];
}

type Meta = Pick<Ledger, 'findMeta' | 'setMeta'>;

/** Acts that are called otherwise than before. */
export function findRenamedActs(ledger: Meta, { acts }: Mapping): string[] {
  const known = Object.entries(namesBefore(ledger)?.acts ?? {});
  return acts.flatMap(({ name, table }) => {
    if (known.some(([before]) => before === name)) return [];
    const gone = known.find(([before, of]) => of === table && !acts.some((one) => one.name === before));
    return gone
      ? [
          `the act "${name}" was called "${gone[0]}" before, and what the centre has is known by that name: call it that again`,
        ]
      : [];
  });
}

/** Notes the names. Movements of a table that was not named before are held until somebody decides (docs/adr/0012). */
export function noteNames(ledger: Meta, { acts }: Mapping): void {
  const before = namesBefore(ledger);
  const movements = acts.flatMap((act) => act.movements.map(({ table }) => `${act.name} ${table}`));
  if (before && movements.some((name) => !before.movements.includes(name))) ledger.setMeta('renamed', 'yes');
  const names: Names = { acts: Object.fromEntries(acts.map(({ name, table }) => [name, table])), movements };
  ledger.setMeta('names', JSON.stringify(names));
}

export function hasNames(ledger: Meta): boolean {
  return namesBefore(ledger) !== undefined;
}

function namesBefore(ledger: Meta): Names | undefined {
  const text = ledger.findMeta('names');
  return text === undefined ? undefined : (JSON.parse(text) as Names);
}
