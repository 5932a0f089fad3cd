import { useEffect, useState } from 'react';
import { Button } from '@mantine/core';
import { navigate } from 'wouter/use-hash-location';
import type { ChatClient, ChatEvents } from '../../../sdk/index.ts';
import type { Arrival } from '../model/arrival.ts';

/** To an open page: a terminal asks to be let in as this person. */
export function DeviceNotice({ chat }: { chat: ChatClient }) {
  const [asking, setAsking] = useState<ChatEvents['device']>();
  useEffect(() => chat.on('device', setAsking), [chat]);
  if (!asking) return <div role="status" />;
  return (
    <div className="toast" role="status">
      <p>A terminal asks to be let in as you: {asking.client}. Did you start it just now?</p>
      <div className="buttons">
        <Button
          size="compact-sm"
          onClick={() => {
            setAsking(undefined);
            const state: Arrival = { page: 'device', brought: asking.user_code };
            navigate('/device', { state });
          }}
        >
          Look at it
        </Button>
        <Button size="compact-sm" variant="default" onClick={() => setAsking(undefined)}>
          Not now
        </Button>
      </div>
    </div>
  );
}
