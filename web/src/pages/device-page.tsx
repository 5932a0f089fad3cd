import { useState, type SyntheticEvent } from 'react';
import { Button, Text, TextInput } from '@mantine/core';
import { z } from 'zod';
import { Card } from '../components/card.tsx';
import { Fault } from '../components/fault.tsx';
import { PageHead } from '../components/page-head.tsx';
import { formatAgo } from '../format.ts';
import { useAction } from '../hooks/use-action.ts';
import { useNow } from '../hooks/use-now.ts';
import { useAsk } from '../hooks/use-step-up.tsx';
import { broughtTo } from '../model/arrival.ts';
import { toUserCode, USER_CODE_LENGTH } from '../model/user-code.ts';

const asking = z.object({
  client: z.string(),
  scopes: z.array(z.string()),
  ip: z.string().nullish(),
  created_at: z.string(),
});
type Asking = z.infer<typeof asking>;

/** A terminal asks to be let in as this person, and shows a code. */
export function DevicePage() {
  const ask = useAsk();
  const [code, setCode] = useState(() => toUserCode(broughtTo('device')));
  const [found, setFound] = useState<Asking>();
  const [decided, setDecided] = useState<'approved' | 'denied'>();
  const look = useAction();
  const decide = useAction();

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    void look.run(async () => setFound(asking.parse(await ask('GET', `/api/device/${code}`))));
  }
  function answer(approve: boolean): void {
    void decide.run(async () => {
      await ask('POST', '/api/device/decide', { user_code: code, approve });
      setDecided(approve ? 'approved' : 'denied');
    });
  }
  function again(): void {
    setFound(undefined);
    setDecided(undefined);
    setCode('');
  }

  return (
    <section className="page account-page" aria-label="Let a terminal in">
      <PageHead title="Let a terminal in" />
      {decided !== undefined ? (
        <Decided how={decided} onAgain={again} />
      ) : found !== undefined ? (
        <Question asking={found} code={code} onAnswer={answer} busy={decide.busy} error={decide.error} />
      ) : (
        <Card title="Enter its code">
          <Fault error={look.error} />
          <form className="stack" onSubmit={submit}>
            <UserCodeInput code={code} onChange={setCode} />
            <Button type="submit" loading={look.busy} disabled={code.length <= USER_CODE_LENGTH}>
              Go on
            </Button>
          </form>
        </Card>
      )}
    </section>
  );
}

/** What came with a link stands here already, and is to be compared before anything else happens. */
function UserCodeInput({ code, onChange }: { code: string; onChange: (code: string) => void }) {
  return (
    <TextInput
      label="Code"
      description="The eight letters that your terminal shows. Compare them if they stand here already."
      className="code-input user-code"
      autoComplete="off"
      autoCapitalize="characters"
      spellCheck={false}
      autoFocus
      required
      placeholder="XXXX-XXXX"
      value={code}
      onChange={(event) => onChange(toUserCode(event.currentTarget.value))}
    />
  );
}

interface QuestionProps {
  asking: Asking;
  code: string;
  onAnswer: (approve: boolean) => void;
  busy: boolean;
  error: unknown;
}

/** Scopes that people meet, in words. */
const SCOPES: Record<string, string> = {
  'sync:read': 'read records',
  'sync:write': 'change records',
  'config:read': 'read settings',
  'config:write': 'change settings',
  'audit:read': 'read the audit log',
  'rpc:call': 'ask branches',
  chat: 'chat',
  admin: 'administer',
};

function Question({
  asking: { client, scopes, ip, created_at },
  code,
  onAnswer,
  busy,
  error,
}: QuestionProps) {
  const now = useNow();
  return (
    <Card title={`Let “${client}” in?`}>
      <dl className="facts">
        <Fact term="Code" value={code} />
        <Fact term="Asked" value={formatAgo(now - Date.parse(created_at))} />
        <Fact term="From" value={ip ?? 'an unknown address'} />
        <Fact term="It may" value={scopes.map((scope) => SCOPES[scope] ?? scope).join(', ')} />
      </dl>
      <Text size="sm">
        It will act as you, until you end its session. Approve only what you started yourself, just now. If
        somebody sent you this code, deny it.
      </Text>
      <Fault error={error} />
      <div className="buttons">
        <Button loading={busy} onClick={() => onAnswer(true)}>
          Approve
        </Button>
        <Button variant="default" disabled={busy} onClick={() => onAnswer(false)}>
          Deny
        </Button>
      </div>
    </Card>
  );
}

function Fact({ term, value }: { term: string; value: string }) {
  return (
    <div>
      <dt>{term}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Decided({ how, onAgain }: { how: 'approved' | 'denied'; onAgain: () => void }) {
  return (
    <Card title={how === 'approved' ? 'Approved' : 'Denied'}>
      <Text role="status">
        {how === 'approved'
          ? 'The terminal is logged in within a few seconds: go on there. Its session is among yours, where you can end it.'
          : 'Nothing was let in. If you did not start this, nothing else is to be done.'}
      </Text>
      <div className="buttons">
        <Button variant="default" onClick={onAgain}>
          Enter another code
        </Button>
      </div>
    </Card>
  );
}
