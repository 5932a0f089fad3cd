import { isIP } from 'node:net';
import { z } from 'zod';
import { networkOf } from './addresses.ts';
import type { Caller, IdentityCore } from './core.ts';
import { TERMINAL } from './device-flow.ts';
import { keyOf } from './names.ts';

/** A terminal that waits for a person, told to the pages they have open. */
export interface PageRequest {
  tenantId: number;
  /** UUID of the person whom the asker named. */
  userId: string;
  /** Where the asker is. */
  ip: string;
  /** For the person to compare with what the terminal shows. */
  userCode: string;
  client: string;
  /** What it asked for; null: it named none. */
  scopes: string[] | null;
}

export interface DeviceRequests {
  /** Tells whoever is logged in under that username, on every node. The asker learns nothing of whether there is one. */
  announce(
    request: { username: string; userCode: string; scopes: string[] | undefined },
    caller: Caller,
  ): Promise<void>;
  /** Hears of them; a request may come late, twice or never: the code can be typed all the same. Returns how to stop. */
  subscribe(listener: (request: PageRequest) => void): () => void;
}

const TOPIC = 'device';
const PURPOSE = 'device request';

const shape = z.object({
  tenantId: z.int(),
  userId: z.string(),
  ip: z.string(),
  userCode: z.string(),
  client: z.string(),
  scopes: z.array(z.string()).nullable(),
});

export function createDeviceRequests(
  core: Pick<IdentityCore, 'db' | 'box' | 'hints' | 'log'>,
): DeviceRequests {
  const { db, box, hints, log } = core;
  return {
    async announce({ username, userCode, scopes }, { ip }) {
      const { tenantId, name: client } = TERMINAL;
      const [user] = await db.sql<{ id: string }>(
        `SELECT id FROM users WHERE tenant_id = $1 AND username_key = $2 AND verified_at IS NOT NULL
           AND disabled_at IS NULL`,
        [tenantId, keyOf(username)],
      );
      if (user === undefined || ip === undefined) return;
      const request: PageRequest = {
        ...{ tenantId, userId: user.id, ip, userCode, client },
        scopes: scopes ?? null,
      };
      // the bus may be shared with others: nothing can be read there
      hints.publish(TOPIC, box.seal(PURPOSE, JSON.stringify(request)).toString('base64'));
    },
    subscribe: (listener) =>
      hints.subscribe(TOPIC, (body) => {
        let plain: string;
        try {
          plain = box.open(PURPOSE, Buffer.from(body, 'base64')).toString('utf8');
        } catch {
          log.warn(
            'a device request came that cannot be read: is CONFIG_ENCRYPTION_KEY the same on each node?',
          );
          return;
        }
        listener(shape.parse(JSON.parse(plain)));
      }),
  };
}

/** Whether two addresses are so near each other that whoever is at the one may ask at the other. */
export function isNear(left: string, right: string): boolean {
  return isIP(left) !== 0 && networkOf(left) === networkOf(right);
}
