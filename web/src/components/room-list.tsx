import { useState, type SyntheticEvent } from 'react';
import { Badge, Button, TextInput } from '@mantine/core';
import { Link } from 'wouter';
import { explain } from '../format.ts';
import type { RoomSummary } from '../model/rooms.ts';

interface RoomListProps {
  rooms: readonly RoomSummary[];
  current: string | undefined;
  onJoin: (room: string) => Promise<void>;
  onCreate: (title: string) => Promise<void>;
}

export function RoomList({ rooms, current, onJoin, onCreate }: RoomListProps) {
  const mine = rooms.filter((room) => room.member);
  const others = rooms.filter((room) => !room.member);
  return (
    <nav className="room-list" aria-label="Rooms">
      <h2 className="side-title">Rooms</h2>
      <ul>
        {mine.map((room) => (
          <li key={room.room}>
            <Link
              href={`/chat/${room.room}`}
              className="room-link"
              aria-current={room.room === current ? 'page' : undefined}
            >
              <span className="room-name">{room.title || room.room}</span>
              <Unread count={room.unread} />
            </Link>
          </li>
        ))}
      </ul>
      {others.length === 0 ? null : (
        <>
          <h2 className="side-title">Open to join</h2>
          <ul>
            {others.map((room) => (
              <JoinRow key={room.room} room={room} onJoin={onJoin} />
            ))}
          </ul>
        </>
      )}
      <CreateRoom onCreate={onCreate} />
    </nav>
  );
}

export function Unread({ count }: { count: number }) {
  if (count === 0) return null;
  return (
    <Badge size="sm" circle={count < 10} className="unread">
      {count > 99 ? '99+' : count}
      <span className="sr-only"> unread</span>
    </Badge>
  );
}

function JoinRow({ room, onJoin }: { room: RoomSummary; onJoin: (room: string) => Promise<void> }) {
  const [error, setError] = useState<unknown>();
  return (
    <li className="room-link">
      <span className="room-name">{room.title || room.room}</span>
      <Button
        size="compact-xs"
        variant="light"
        aria-label={`Join ${room.title || room.room}`}
        onClick={() => void onJoin(room.room).catch(setError)}
      >
        Join
      </Button>
      {error === undefined ? null : <span role="alert">{explain(error)}</span>}
    </li>
  );
}

function CreateRoom({ onCreate }: Pick<RoomListProps, 'onCreate'>) {
  const [title, setTitle] = useState('');
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);

  async function create(event: SyntheticEvent): Promise<void> {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await onCreate(title);
      setTitle('');
    } catch (reason) {
      setError(reason);
    } finally {
      setBusy(false);
    }
  }

  return (
    <form className="room-create" onSubmit={(event) => void create(event)}>
      <TextInput
        label="New room"
        size="xs"
        maxLength={64}
        value={title}
        onChange={(event) => setTitle(event.currentTarget.value)}
        error={error === undefined ? undefined : explain(error)}
      />
      <Button type="submit" size="xs" variant="default" loading={busy} disabled={roomNameOf(title) === ''}>
        Create
      </Button>
    </form>
  );
}

/** A room's name made of its title: small letters, digits, dots and dashes. Empty when nothing is left. */
export function roomNameOf(title: string): string {
  return title
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|-+$/g, '')
    .slice(0, 64);
}
