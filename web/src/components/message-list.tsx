import { memo, useEffect, useLayoutEffect, useRef, type RefObject } from 'react';
import { Button } from '@mantine/core';
import type { ChatMessage } from '../../../sdk/index.ts';
import { explain, formatDay, formatTime } from '../format.ts';
import type { Conversation, PendingMessage } from '../model/rooms.ts';
import { PersonName } from './person-name.tsx';

interface MessageListProps {
  conversation: Conversation;
  me: string;
  onOlder: () => void;
  onRetry: (message: PendingMessage) => void;
  onDiscard: (message: PendingMessage) => void;
  /** The newest message is in view. */
  onSeen: () => void;
}

const NEAR_PX = 80;

export function MessageList({ conversation, me, onOlder, onRetry, onDiscard, onSeen }: MessageListProps) {
  const { messages, pending, more, loading, error } = conversation;
  const ref = useRef<HTMLDivElement>(null);
  useStickyScroll(ref, conversation, onSeen);
  return (
    <div
      className="messages"
      ref={ref}
      tabIndex={0}
      role="log"
      aria-label="Messages"
      onScroll={(event) => {
        if (event.currentTarget.scrollTop < NEAR_PX && more && !loading) onOlder();
        if (isAtEnd(event.currentTarget)) onSeen();
      }}
    >
      {more ? (
        <Button variant="subtle" size="compact-sm" className="older" loading={loading} onClick={onOlder}>
          Show earlier messages
        </Button>
      ) : null}
      {error === undefined ? null : (
        <p className="note" role="alert">
          {explain(error)}
        </p>
      )}
      {!more && messages.length === 0 && pending.length === 0 ? (
        <p className="note">No messages yet. Write the first one.</p>
      ) : null}
      {messages.map((message, index) => (
        <Message
          key={message.id}
          message={message}
          mine={message.from.id === me}
          {...relation(messages[index - 1], message)}
        />
      ))}
      {pending.map((message) => (
        <Pending key={message.clientMessageId} message={message} onRetry={onRetry} onDiscard={onDiscard} />
      ))}
    </div>
  );
}

interface MessageProps {
  message: ChatMessage;
  mine: boolean;
  newDay: boolean;
  sameAuthor: boolean;
}

const Message = memo(function Message({ message, mine, newDay, sameAuthor }: MessageProps) {
  return (
    <>
      {newDay ? <h3 className="day">{formatDay(message.at)}</h3> : null}
      <article className="message" data-mine={mine} data-follows={sameAuthor}>
        <header>
          <span className="author">
            <PersonName name={message.from.username} displayName={message.from.displayName} />
          </span>{' '}
          <time dateTime={message.at}>{formatTime(message.at)}</time>
        </header>
        <p>{message.body}</p>
      </article>
    </>
  );
});

function Pending({
  message,
  onRetry,
  onDiscard,
}: { message: PendingMessage } & Pick<MessageListProps, 'onRetry' | 'onDiscard'>) {
  const failed = message.state === 'failed';
  return (
    <article className="message" data-mine="true" data-state={message.state}>
      <p>{message.body}</p>
      <footer role={failed ? 'alert' : undefined}>
        {failed ? `Not sent. ${explain(message.error)} ` : 'Sending…'}
        {failed ? (
          <>
            <Button size="compact-xs" variant="light" color="red" onClick={() => onRetry(message)}>
              Try again
            </Button>{' '}
            <Button size="compact-xs" variant="subtle" color="gray" onClick={() => onDiscard(message)}>
              Discard
            </Button>
          </>
        ) : null}
      </footer>
    </article>
  );
}

/** Follows the conversation at its end, and stays where one reads when earlier messages come in above. */
function useStickyScroll(
  ref: RefObject<HTMLDivElement | null>,
  conversation: Conversation,
  onSeen: () => void,
): void {
  const { messages, pending } = conversation;
  const before = useRef({ first: 0, height: 0, atEnd: true });
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return;
    const first = messages[0]?.seq ?? 0;
    const { first: oldFirst, height, atEnd } = before.current;
    if (atEnd) element.scrollTop = element.scrollHeight;
    else if (first < oldFirst) element.scrollTop += element.scrollHeight - height;
    before.current = { first, height: element.scrollHeight, atEnd };
  }, [ref, messages, pending]);
  useEffect(() => {
    const element = ref.current;
    if (!element) return undefined;
    const note = (): void => {
      before.current = { ...before.current, height: element.scrollHeight, atEnd: isAtEnd(element) };
    };
    // A smaller window, or the keyboard of a phone, must not hide the newest message.
    const resized = new ResizeObserver(() => {
      if (before.current.atEnd) element.scrollTop = element.scrollHeight;
    });
    resized.observe(element);
    element.addEventListener('scroll', note);
    return () => {
      resized.disconnect();
      element.removeEventListener('scroll', note);
    };
  }, [ref]);
  useEffect(() => {
    if (before.current.atEnd && document.visibilityState === 'visible') onSeen();
  }, [messages, onSeen]);
}

function isAtEnd(element: HTMLElement): boolean {
  return element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
}

const FOLLOWS_MS = 5 * 60_000;

function relation(
  previous: ChatMessage | undefined,
  message: ChatMessage,
): { newDay: boolean; sameAuthor: boolean } {
  if (!previous) return { newDay: true, sameAuthor: false };
  const newDay = formatDay(previous.at) !== formatDay(message.at);
  const soon = Date.parse(message.at) - Date.parse(previous.at) < FOLLOWS_MS;
  return { newDay, sameAuthor: !newDay && soon && previous.from.id === message.from.id };
}
