import { Alert, Button, Text } from '@mantine/core';
import { Command, quote, sluice } from './command.tsx';

/** To somebody who may see no branch: what that means, and whom to ask for what. */
export function NoGrants({ username }: { username: string }) {
  return (
    <Alert title="You cannot see any branch yet" color="yellow" className="steps" role="note">
      <Text size="sm">
        Chat and the list of people work already. Invoices, stock and orders appear here once you are given
        the right to see a branch. Ask whoever set up Sluice for you, the owner or an administrator; this is
        the command they need, on the gateway’s machine:
      </Text>
      <Command line={sluice(`admin users grant --username ${quote(username)} --partition '*:read'`)} />
      <Text size="sm">
        <code>*:read</code> is every branch; <code>branch-12:read</code> would be that one alone.
      </Text>
      <Button size="compact-sm" variant="default" onClick={() => location.reload()}>
        Check again
      </Button>
    </Alert>
  );
}

/** To somebody whose role may not see records, whatever branch is granted. */
export function RoleForbids({ username, role }: { username: string; role: string }) {
  return (
    <Alert title="Your role may not see records" color="yellow" className="steps" role="note">
      <Text size="sm">
        You are <span className="strong">{role}</span> here, and that role lacks the right{' '}
        <code>sync:read</code>; a branch that is granted changes nothing. Ask the owner or an administrator
        for another role, or to add the right to yours. On the gateway’s machine:
      </Text>
      <Command line={sluice(`admin users grant --username ${quote(username)} --role member`)} />
      <Text size="sm">
        What each role may do: <code>admin roles list</code>; <code>admin roles set</code> changes it.
      </Text>
      <Button size="compact-sm" variant="default" onClick={() => location.reload()}>
        Check again
      </Button>
    </Alert>
  );
}
