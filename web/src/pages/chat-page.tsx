import { useCallback, useEffect, useMemo } from 'react';
import { ActionIcon, Button } from '@mantine/core';
import { useLocation, useParams } from 'wouter';
import { Composer } from '../components/composer.tsx';
import { Icon } from '../components/icon.tsx';
import { MessageList } from '../components/message-list.tsx';
import { roomNameOf, RoomList } from '../components/room-list.tsx';
import { useEngine, useLinkState, useSignal } from '../hooks/use-engine.tsx';
import { useSession } from '../hooks/use-session.tsx';
import { useTitle } from '../hooks/use-title.ts';
import { useTyping } from '../hooks/use-typing.ts';
import type { RoomSummary } from '../model/rooms.ts';

const THIN = 20;

export function ChatPage() {
  const { chat, rooms } = useEngine();
  useSignal(rooms.signal);
  const [, navigate] = useLocation();
  const { room } = useParams<{ room?: string }>();
  const list = rooms.list();
  const current = list.find((one) => one.room === room);
  useTitle(current ? current.title || current.room : 'Chat');

  const join = async (name: string): Promise<void> => {
    await chat.join(name);
    await chat.listRooms();
    navigate(`/chat/${name}`);
  };
  const create = async (title: string): Promise<void> => {
    const name = roomNameOf(title);
    await chat.createRoom(name, title.trim());
    await chat.listRooms();
    navigate(`/chat/${name}`);
  };
  return (
    <section className="chat" aria-label="Chat" data-open={room !== undefined}>
      <RoomList rooms={list} current={room} onJoin={join} onCreate={create} />
      {current?.member === true ? (
        <RoomView key={current.room} room={current} onBack={() => navigate('/chat')} />
      ) : null}
      {current?.member === false ? <JoinFirst room={current} onJoin={() => join(current.room)} /> : null}
      {current === undefined ? <NoRoom known={list.length > 0} wanted={room} /> : null}
    </section>
  );
}

function RoomView({ room, onBack }: { room: RoomSummary; onBack: () => void }) {
  const { chat, rooms } = useEngine();
  const { phase } = useSession();
  const me = phase.name === 'user' ? phase.user.id : '';
  const name = room.room;
  const title = room.title || name;
  const conversation = rooms.conversation(name);
  const state = useLinkState(chat);
  const typing = useTyping(chat, name, me);
  const seen = useCallback(() => rooms.read(name), [rooms, name]);
  const connected = state.name === 'live';
  // A room that only heard of new messages so far lacks what was said before.
  const thin = conversation.messages.length < THIN && conversation.more;

  useEffect(() => {
    if (connected && thin) void rooms.loadOlder(name);
  }, [rooms, name, connected, thin]);

  return (
    <div className="room">
      <header className="room-head">
        <ActionIcon
          variant="subtle"
          color="gray"
          className="narrow-only"
          aria-label="Back to the rooms"
          onClick={onBack}
        >
          <Icon name="back" />
        </ActionIcon>
        <h1>{title}</h1>
        {connected ? null : <span className="sub">offline: messages wait here</span>}
      </header>
      <MessageList
        conversation={conversation}
        me={me}
        onOlder={() => void rooms.loadOlder(name)}
        onRetry={(message) => void rooms.send(name, message.body, message.clientMessageId)}
        onDiscard={({ clientMessageId }) => rooms.discard(name, clientMessageId)}
        onSeen={seen}
      />
      <p className="typing" role="status">
        {typing}
      </p>
      <Composer
        roomTitle={title}
        onSend={(body) => void rooms.send(name, body)}
        onTyping={() => chat.typing(name)}
      />
    </div>
  );
}

function JoinFirst({ room, onJoin }: { room: RoomSummary; onJoin: () => Promise<void> }) {
  return (
    <div className="room-empty">
      <h1>{room.title || room.room}</h1>
      <p>Join this room to read and write in it.</p>
      <Button onClick={() => void onJoin()}>Join</Button>
    </div>
  );
}

function NoRoom({ known, wanted }: { known: boolean; wanted: string | undefined }) {
  const words = useMemo(() => {
    if (wanted !== undefined && known) return `There is no room “${wanted}” that you may see.`;
    return known ? 'Choose a room.' : 'Connecting to the chat…';
  }, [known, wanted]);
  return (
    <div className="room-empty" role="status">
      <h1 className="sr-only">Chat</h1>
      <p>{words}</p>
    </div>
  );
}
