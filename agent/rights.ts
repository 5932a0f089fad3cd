import { z } from 'zod';
import { createAuthorizedRequest } from '../sdk/authorized-request.ts';
import type { TokenSource } from '../sdk/types.ts';
import type { AgentConfig } from './config.ts';

/** Whether the client may do what the mapping asks of it: otherwise nothing comes down, and nothing says why. */

export interface Rights {
  /** What is sold could not be pushed. */
  faults: string[];
  /** Something of the mapping would never come down. */
  warnings: string[];
}

const whoAmI = z.object({
  partitions: z.object({ read: z.array(z.string()), write: z.array(z.string()) }),
});

const TIMEOUT_MS = 5_000;

/** Asks the gateway what the client may do. Empty when it does not say. */
export async function findRightsFaults(
  config: AgentConfig,
  tokens: TokenSource,
  stopping?: AbortSignal,
): Promise<Rights> {
  const signals = [AbortSignal.timeout(TIMEOUT_MS), ...(stopping ? [stopping] : [])];
  const fetch: typeof globalThis.fetch = (input, init) =>
    globalThis.fetch(input, { ...init, signal: AbortSignal.any(signals) });
  const request = createAuthorizedRequest({ baseUrl: config.gateway, fetch, tokens });
  const answer = whoAmI.safeParse(await request('GET', '/auth/me').catch(() => undefined));
  return answer.success ? judgeRights(config, answer.data.partitions) : { faults: [], warnings: [] };
}

function judgeRights(
  { mapping, partition }: Pick<AgentConfig, 'mapping' | 'partition'>,
  { read, write }: { read: readonly string[]; write: readonly string[] },
): Rights {
  const may = (grants: readonly string[]): boolean => grants.includes('*') || grants.includes(partition);
  const pushes = mapping.acts.length + mapping.records.length > 0;
  const faults =
    pushes && !may(write)
      ? [
          `the client may not write the partition ${partition}: every push would be refused; grant it ${partition}`,
        ]
      : [];
  const warnings: string[] = [];
  const wanted = (of: readonly string[]): string =>
    mapping.down
      .filter(({ partitions }) => of.includes(partitions))
      .map(({ collection, table, partitions }) => `${collection} of ${partitions} to ${table}`)
      .join(', ');
  const own = wanted(['own', 'all']);
  if (own !== '' && !may(read))
    warnings.push(`the client may not read the partition ${partition}: nothing of it comes down (${own})`);
  const others = wanted(['others', 'all']);
  if (others !== '' && !read.some((name) => name !== partition))
    warnings.push(
      `the client may read no partition but ${partition}: nothing of other branches comes down (${others}); grant it *:read, or single partitions (branch-7:read)`,
    );
  return { faults, warnings };
}
