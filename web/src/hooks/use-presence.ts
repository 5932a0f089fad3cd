import { useEffect, useMemo, useSyncExternalStore } from 'react';
import type { ChatClient, Presence } from '../../../sdk/index.ts';
import { createSignal } from '../model/signal.ts';

/** Everybody's status, the present ones first. */
export function usePresence(chat: ChatClient): Presence[] {
  const signal = useMemo(() => createSignal({ intervalMs: () => 250 }), []);
  useEffect(() => {
    const stops = [chat.on('presence', signal.touch), chat.on('state', signal.touch)];
    return () => stops.forEach((stop) => stop());
  }, [chat, signal]);
  const version = useSyncExternalStore(signal.subscribe, signal.version);
  return useMemo(() => [...chat.presence.values()].sort(byStatusAndName), [chat, version]);
}

const ORDER: Record<Presence['status'], number> = { online: 0, busy: 1, away: 2, offline: 3 };
const collator = new Intl.Collator('en', { numeric: true });

function byStatusAndName(a: Presence, b: Presence): number {
  return ORDER[a.status] - ORDER[b.status] || collator.compare(a.name, b.name);
}
