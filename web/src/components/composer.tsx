import { useRef, useState, type SyntheticEvent, type KeyboardEvent } from 'react';
import { ActionIcon, Textarea } from '@mantine/core';
import { Icon } from './icon.tsx';

interface ComposerProps {
  roomTitle: string;
  onSend: (body: string) => void;
  onTyping: () => void;
}

/** Characters of one message, as the gateway takes them. */
const MAX_LENGTH = 4_000;
const TYPING_EVERY_MS = 3_000;

/** Enter sends, Shift+Enter breaks the line. Works offline too: the message waits for the connection. */
export function Composer({ roomTitle, onSend, onTyping }: ComposerProps) {
  const [body, setBody] = useState('');
  const lastTyping = useRef(0);

  function send(event: SyntheticEvent): void {
    event.preventDefault();
    const text = body.trim();
    if (text === '') return;
    onSend(text);
    setBody('');
    lastTyping.current = 0;
  }

  function change(text: string): void {
    setBody(text);
    const now = Date.now();
    if (text === '' || now - lastTyping.current < TYPING_EVERY_MS) return;
    lastTyping.current = now;
    onTyping();
  }

  function onKeyDown(event: KeyboardEvent): void {
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) send(event);
  }

  return (
    <form className="composer" onSubmit={send}>
      <Textarea
        aria-label={`Message to ${roomTitle}`}
        placeholder={`Message to ${roomTitle}`}
        autosize
        minRows={1}
        maxRows={6}
        maxLength={MAX_LENGTH}
        value={body}
        onChange={(event) => change(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <ActionIcon type="submit" size={36} aria-label="Send" disabled={body.trim() === ''}>
        <Icon name="send" />
      </ActionIcon>
    </form>
  );
}
