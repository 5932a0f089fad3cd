import { roomName, roomNameOf } from '../protocol/chat.ts';
import { usageError } from './failure.ts';

/** `sales The sales` is a name and a title; words of which the first is no name are a title alone. */
export function namedRoom([first = '', ...others]: readonly string[]): { room: string; title: string } {
  const name = first.replace(/^#/, '');
  if (roomName.safeParse(name).success) return { room: name, title: others.join(' ') };
  const title = [name, ...others].join(' ');
  const room = roomNameOf(title);
  if (room === '') throw usageError('A room needs a name of letters or digits, such as sales.');
  return { room, title };
}
