export interface Versioned {
  id: string;
  /** The tenant's version at the record's last change: a higher one is newer. */
  version: number;
}

/** Records ordered by version, oldest first. Appending a newer one costs nothing; all else sorts once, when read. */
export interface VersionedList<T extends Versioned> {
  /** Takes the row unless a newer one of that id is there. */
  put: (row: T) => boolean;
  remove: (id: string) => boolean;
  has: (id: string) => boolean;
  size: () => number;
  clear: () => void;
  /** The same array grows in place: compare lengths or versions, not identities. */
  rows: () => readonly T[];
}

export function createVersionedList<T extends Versioned>(): VersionedList<T> {
  const byId = new Map<string, T>();
  let rows: T[] = [];
  let stale = false;

  return {
    put(row) {
      const known = byId.get(row.id);
      if (known && known.version > row.version) return false;
      byId.set(row.id, row);
      if (known || row.version < (rows.at(-1)?.version ?? 0)) stale = true;
      else rows.push(row);
      return true;
    },
    remove(id) {
      stale = byId.delete(id) || stale;
      return stale;
    },
    has: (id) => byId.has(id),
    size: () => byId.size,
    clear() {
      byId.clear();
      rows = [];
      stale = false;
    },
    rows() {
      if (stale) rows = [...byId.values()].sort((a, b) => a.version - b.version);
      stale = false;
      return rows;
    },
  };
}
