import type { SessionEntry } from './account.ts';
import { deviceName } from './user-agent.ts';

/** The sessions of one device, as far as it can be told by what it says of itself. */
export interface OwnDevice {
  name: string;
  /** Their ids. */
  sessions: string[];
  lastUsedAt: number;
  addresses: string[];
  /** This page runs on it. */
  current: boolean;
}

/** The one in use first, then by when they were used last. */
export function devicesOf(sessions: readonly SessionEntry[]): OwnDevice[] {
  const byName = new Map<string, OwnDevice>();
  for (const { id, app, user_agent: agent, ip, last_used_at: used, current } of sessions) {
    const name = deviceName(agent ?? '', app ?? '');
    const known = byName.get(name) ?? { name, sessions: [], lastUsedAt: 0, addresses: [], current: false };
    byName.set(name, {
      name,
      sessions: [...known.sessions, id],
      lastUsedAt: Math.max(known.lastUsedAt, Date.parse(used)),
      addresses: [...new Set([...known.addresses, ip ?? 'an unknown address'])],
      current: known.current || current,
    });
  }
  return [...byName.values()].sort(
    (a, b) => Number(b.current) - Number(a.current) || b.lastUsedAt - a.lastUsedAt,
  );
}
