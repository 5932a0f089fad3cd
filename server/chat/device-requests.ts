import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Namespace } from 'socket.io';
import { isNear } from '../auth/device-requests.ts';
import type { DeviceRequests, PageRequest } from '../auth/device-requests.ts';
import { principalKey } from '../auth/principal.ts';
import { clientAddress } from '../sockets/guards.ts';
import { audience } from './connection.ts';
import type { ChatNamespace } from './connection.ts';

/** A person is asked no more often than this, whoever asks: nobody is to be worn down. */
const ASKED = { points: 3, duration: 600 };

/**
 * Tells the open pages of a person that a terminal waits for them: `device:request {user_code, client, scopes}`, to those pages alone
 * that come from where the terminal does, for nobody far away is to make a page ask. Returns how to stop.
 */
export function tellOpenPages(
  namespace: Pick<Namespace, 'adapter' | 'sockets'>,
  { requests, trustProxy }: { requests: Pick<DeviceRequests, 'subscribe'>; trustProxy: boolean },
): () => void {
  const { adapter, sockets } = namespace as unknown as ChatNamespace;
  const asked = new RateLimiterMemory({ keyPrefix: 'device request', ...ASKED });
  const tell = async (request: PageRequest): Promise<void> => {
    const { tenantId, userId, ip, userCode: user_code, client, scopes } = request;
    const room = audience.principal(tenantId, principalKey({ kind: 'user', id: userId }));
    const pages = [...(adapter.rooms.get(room) ?? [])].flatMap((id) => {
      const socket = sockets.get(id);
      return socket && isNear(clientAddress(socket.handshake, trustProxy), ip) ? [socket] : [];
    });
    if (pages.length === 0) return;
    await asked.consume(userId);
    for (const page of pages) page.emit('device:request', { user_code, client, scopes });
  };
  return requests.subscribe((request) => void tell(request).catch(() => undefined));
}
