import { useEffect, useState } from 'react';
import type { ChatClient } from '../../../sdk/index.ts';

const LASTS_MS = 5_000;

/** Who is writing in a room just now, in words; empty when nobody is. */
export function useTyping(chat: ChatClient, room: string, me: string): string {
  const [writers, setWriters] = useState<readonly { id: string; username: string; until: number }[]>([]);

  useEffect(() => {
    const without = (id: string) => setWriters((old) => old.filter((one) => one.id !== id));
    const stops = [
      chat.on('typing', ({ room: where, from }) => {
        if (where !== room || from.id === me) return;
        setWriters((old) => [
          ...old.filter((one) => one.id !== from.id),
          { ...from, until: Date.now() + LASTS_MS },
        ]);
      }),
      chat.on('message', ({ room: where, from }) => (where === room ? without(from.id) : undefined)),
    ];
    return () => stops.forEach((stop) => stop());
  }, [chat, room, me]);

  useEffect(() => {
    const first = Math.min(...writers.map((one) => one.until));
    if (!Number.isFinite(first)) return undefined;
    const timer = setTimeout(
      () => setWriters((old) => old.filter((one) => one.until > Date.now())),
      Math.max(0, first - Date.now()) + 50,
    );
    return () => clearTimeout(timer);
  }, [writers]);

  const names = writers.map((one) => one.username);
  if (names.length === 0) return '';
  if (names.length > 3) return 'Several people are writing…';
  return `${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'} writing…`;
}
