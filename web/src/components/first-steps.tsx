import { Text, Title } from '@mantine/core';
import { Command, sluice } from './command.tsx';

/** To the owner of an installation without records: how they get in. `connected`: a branch is there, but sent nothing. */
export function FirstSteps({ connected }: { connected: boolean }) {
  return (
    <section className="card steps" aria-label="First steps">
      <Title order={2} size="h4">
        {connected ? 'A branch is connected, but has sent nothing yet' : 'Connect your first branch'}
      </Title>
      {connected ? <CheckAgent /> : <ConnectBranch />}
      <GrantHint />
    </section>
  );
}

function CheckAgent() {
  return (
    <>
      <Text size="sm">
        Records appear here as soon as it sells something. If it should have by now, ask its agent, on the
        branch’s machine:
      </Text>
      <Command line="npm run agent -- check --config agent.json" />
      <Command line="npm run agent -- status --config agent.json" />
    </>
  );
}

function ConnectBranch() {
  return (
    <>
      <Text size="sm">
        A small program beside the shop’s database, the agent, sends its invoices, stock and orders here.
      </Text>
      <ol>
        <li>
          <p>
            Register the branch, on the gateway’s machine in the folder of Sluice. The secret is shown once:
          </p>
          <Command
            line={sluice(
              'admin clients create --name "Branch 12" --partition branch-12 --partition \'*:read\'',
            )}
          />
        </li>
        <li>
          <p>
            On the branch’s machine keep the secret in the file <code>branch.secret</code>, and name the
            client, the database and its tables in <code>agent.json</code>. The example is complete:
          </p>
          <Command line="cp agent/example-config.json agent.json" />
        </li>
        <li>
          <p>Check it, then let it run:</p>
          <Command line="npm run agent -- check --config agent.json" />
          <Command line="npm run agent -- run --config agent.json" />
        </li>
      </ol>
      <Text size="sm">
        docs/AGENT.md has the details. Only looking around? <code>npm run demo</code> shows three branches
        that sell, on a gateway of its own.
      </Text>
    </>
  );
}

/** To whoever may give rights: that others see no records until then. */
export function GrantHint() {
  return (
    <>
      <Text size="sm">
        People who sign up can chat, and see no records until you let them. For every branch, on the gateway’s
        machine:
      </Text>
      <Command line={sluice(`admin users grant --username NAME --partition '*:read'`)} />
    </>
  );
}
