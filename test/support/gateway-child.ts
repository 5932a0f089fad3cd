import { createLocalHints, startHints } from '../../server/hints.ts';
import type { Hints } from '../../server/hints.ts';
import { createLogger } from '../../server/log.ts';
import { startSyncGateway } from './sync-gateway.ts';

/** A gateway in a process of its own, to be killed. Its one argument is JSON; it prints its URL when it is ready. */
export interface ChildOptions {
  databaseUrl: string;
  port?: number;
  hints?: 'notify' | 'local';
  /** Kills itself: after this many commits before the acknowledgement, or before the hint goes out. */
  dieAfterCommit?: number;
  dieBeforeHint?: number;
}

const options = JSON.parse(process.argv[2] ?? '{}') as ChildOptions;
const die = (): void => void process.kill(process.pid, 'SIGKILL');

let commits = 0;
const afterCommit = async (): Promise<void> => {
  commits += 1;
  if (commits !== options.dieAfterCommit) return;
  die();
  await new Promise(() => undefined);
};

const bus: Hints =
  options.hints === 'local'
    ? createLocalHints()
    : await startHints({ databaseUrl: options.databaseUrl, log: createLogger('silent') });
let hints = 0;
const publish: Hints['publish'] = (topic, body) => {
  hints += 1;
  if (options.dieBeforeHint === undefined || hints < options.dieBeforeHint) bus.publish(topic, body);
  // the acknowledgement is on its way when this fires
  else setTimeout(die, 20);
};

const gateway = await startSyncGateway({
  databaseUrl: options.databaseUrl,
  ...(options.port === undefined ? {} : { port: options.port }),
  hints: { ...bus, publish },
  ...(options.dieAfterCommit === undefined ? {} : { afterCommit }),
});
process.stdout.write(`${gateway.url}\n`);
