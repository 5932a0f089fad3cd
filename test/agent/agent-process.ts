import { readFileSync } from 'node:fs';
import { startAgent } from '../../agent/agent.ts';
import type { AgentConfig } from '../../agent/config.ts';
import { createLog } from '../../agent/log.ts';
import { tokensOf } from './support.ts';

/** An agent as a process of its own, to be killed: `tsx agent-process.ts <config as JSON>`. */
const config = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as AgentConfig;
const agent = startAgent({
  config,
  tokens: tokensOf(config.partition),
  log: createLog(process.stdout, { json: true }),
  engine: { backoff: { baseMs: 20, capMs: 200 } },
});
process.once('SIGTERM', () => void agent.close());
process.exitCode = await agent.done;
