import { Alert, Button, Code, Text } from '@mantine/core';

/** What an administrator must do so that this account sees records. */
export function NoGrants({ username }: { username: string }) {
  return (
    <Alert title="Your account may not see records yet" color="yellow" className="no-grants" role="note">
      <Text size="sm">
        An administrator grants you one branch, or all of them, on the machine of the gateway with:
      </Text>
      <Code block>{grantCommand(username)}</Code>
      <Text size="sm">
        Write a branch such as <code>branch-12:read</code> in place of <code>*:read</code> to grant that
        branch alone. Then:
      </Text>
      <Button size="compact-sm" variant="default" onClick={() => location.reload()}>
        Check again
      </Button>
    </Alert>
  );
}

/** The name comes from the person: quoted for the shell it will be pasted into. */
function grantCommand(username: string): string {
  const quoted = /^[\w.@-]+$/.test(username) ? username : `'${username.replaceAll("'", `'\\''`)}'`;
  return `npm run sluice -- admin users grant --username ${quoted} --partition '*:read'`;
}
