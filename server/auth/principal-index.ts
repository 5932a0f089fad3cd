/** What belongs to a principal, found without a look at what belongs to the others. */
export interface PrincipalIndex<Item> {
  /** `key` as `principalKey` makes it. */
  add(tenantId: number, key: string, item: Item): void;
  remove(tenantId: number, key: string, item: Item): void;
  /** As of now: whoever walks over it may add and remove. */
  of(tenantId: number, key: string): Item[];
}

export function createPrincipalIndex<Item>(): PrincipalIndex<Item> {
  const byPrincipal = new Map<string, Set<Item>>();
  return {
    add(tenantId, key, item) {
      const name = nameOf(tenantId, key);
      const items = byPrincipal.get(name);
      if (items === undefined) byPrincipal.set(name, new Set([item]));
      else items.add(item);
    },
    remove(tenantId, key, item) {
      const name = nameOf(tenantId, key);
      const items = byPrincipal.get(name);
      if (items?.delete(item) === true && items.size === 0) byPrincipal.delete(name);
    },
    of: (tenantId, key) => [...(byPrincipal.get(nameOf(tenantId, key)) ?? [])],
  };
}

function nameOf(tenantId: number, key: string): string {
  return `${tenantId} ${key}`;
}
