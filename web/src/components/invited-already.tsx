import { Button, Text } from '@mantine/core';
import { useSession } from '../hooks/use-session.tsx';
import { Card } from './card.tsx';
import { PageHead } from './page-head.tsx';

/** To somebody who opens an invitation while logged in: it is for a new account. */
export function InvitedAlready({ username }: { username: string }) {
  const { logout } = useSession();
  return (
    <section className="page account-page" aria-label="Your invitation">
      <PageHead title="Your invitation" />
      <Card title={`You are logged in as ${username}`}>
        <Text size="sm">An invitation is for a new account. Log out to accept it.</Text>
        <div className="buttons">
          <Button variant="default" onClick={logout}>
            Log out
          </Button>
        </div>
      </Card>
    </section>
  );
}
