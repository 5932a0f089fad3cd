import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import type { GatewayUnderTest } from '../gateway.ts';
import { createChat } from './chat.ts';
import { createHttp } from './http.ts';
import { createPeople } from './people.ts';
import { createSync } from './sync.ts';

/** A gateway that keeps everything in memory: enough of the contract for the page, nothing of its promises. */
export async function startFakeGateway({ port = 0 }: { port?: number } = {}): Promise<GatewayUnderTest> {
  const people = createPeople();
  let open = true;
  const http = createServer(createHttp(people, () => open));
  const io = new Server(http, { transports: ['websocket'], serveClient: false });
  io.engine.opts.allowRequest = (_request, done) => done(null, open);
  const chat = createChat(io.of('/'), people);
  const sync = createSync(io.of('/sync'), people);
  await new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;

  return {
    url,
    codeFor: (email) => Promise.resolve(people.byEmail(email)?.code ?? ''),
    grant(username) {
      people.grant(username);
      return Promise.resolve();
    },
    revoke(username) {
      const id = people.byName(username)?.id ?? '';
      people.endSessions(id);
      for (const namespace of [io.of('/'), io.of('/sync')]) {
        namespace.to(`user:${id}`).emit('auth:revoked', { code: 'revoked' });
        namespace.in(`user:${id}`).disconnectSockets(true);
      }
      return Promise.resolve();
    },
    push(partition, mutations) {
      sync.commit(partition, mutations);
      chat.showAgent(partition);
      return Promise.resolve();
    },
    say(room, from, body) {
      chat.say(room, { id: `other-${from}`, username: from }, body);
      return Promise.resolve();
    },
    interrupt() {
      open = false;
      io.disconnectSockets(true);
      io.of('/sync').disconnectSockets(true);
      return Promise.resolve();
    },
    resume() {
      open = true;
      return Promise.resolve();
    },
    async close() {
      await io.close();
      http.closeAllConnections();
    },
  };
}
