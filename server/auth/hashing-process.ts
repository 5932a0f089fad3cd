import { constants, setPriority } from 'node:os';
import argon2 from 'argon2';
import { COST } from './hashing.ts';
import type { HashAnswer, HashRequest } from './hashing.ts';

/**
 * Computes argon2id for the gateway, in a process of its own (`hashing.ts`): only a process can be told to step back for others on
 * every platform, and on two processors a login would otherwise take one of them away from sync for 25 ms.
 */

// before libuv starts its threads: they take over the priority of the one that starts them
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

// Ctrl-C reaches the whole group; the gateway still answers the logins that have begun, and then hangs up
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
process.once('disconnect', () => process.exit());

process.on('message', (request: HashRequest) => {
  void compute(request).then(
    (result) => say({ id: request.id, result }),
    (error: unknown) =>
      say({ id: request.id, fault: error instanceof Error ? error.message : String(error) }),
  );
});

function compute({ password, stored }: HashRequest): Promise<string | boolean> {
  return stored === undefined
    ? argon2.hash(password, { type: argon2.argon2id, ...COST })
    : argon2.verify(stored, password);
}

function say(answer: HashAnswer): void {
  // nobody listens any more: the disconnect follows
  if (process.connected) process.send?.(answer);
}
