import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createSocketRegistry } from '../server/auth/live-sockets.ts';
import { parseGrants } from '../server/auth/principal.ts';
import type { Principal } from '../server/auth/principal.ts';
import { openDatabase } from '../server/db.ts';
import { startHints } from '../server/hints.ts';
import { createIo } from '../server/io.ts';
import { createLogger } from '../server/log.ts';
import { createMetrics } from '../server/metrics.ts';
import { serveSync } from '../server/socket.ts';
import { coalesceWrites } from '../server/sockets/coalesce.ts';
import { watchDrain } from '../server/sockets/drain-watch.ts';
import type { Doorkeeper } from '../server/sockets/guards.ts';
import { createSync } from '../server/sync/sync.ts';
import type { Side } from './side.ts';

/** Starts the gateway that is measured. The one place that knows how it is wired and where tokens come from. */
export async function startGateway(databaseUrl: string): Promise<Side> {
  const db = await openDatabase({ url: databaseUrl });
  const log = createLogger('error');
  const hints = await startHints({ databaseUrl, log });
  const http = createServer();
  const io = createIo(http, () => true);
  const sync = createSync({
    db,
    hints,
    log,
    emitToRoom: (room, frame) => void io.of('/sync').local.to(room).emit('sync:delta', frame),
  });
  const metrics = createMetrics();
  serveSync(io, { identity: createDoorkeeper(), sync, log, metrics, trustProxy: false });
  coalesceWrites(io);
  const stopWatch = watchDrain(io, () => metrics.slowConsumers.inc());
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    issueTokens: (count) => Promise.resolve(Array.from({ length: count }, () => randomUUID())),
    async close() {
      stopWatch();
      await sync.close();
      await io.close();
      await hints.close();
      await db.close();
    },
  };
}

/** A token is the principal's id: everyone is let in. */
function createDoorkeeper(): Doorkeeper {
  return {
    authenticate: (token) => Promise.resolve(toPrincipal(token)),
    current: (principal) => Promise.resolve(principal),
    sockets: createSocketRegistry(() => false),
  };
}

function toPrincipal(id: string): Principal {
  return {
    tenantId: 1,
    kind: 'client',
    id,
    name: 'bench',
    sessionId: id,
    scopes: new Set(['sync:read', 'sync:write']),
    grants: parseGrants(['*']),
    expiresAt: Date.now() + 3_600_000,
  };
}
