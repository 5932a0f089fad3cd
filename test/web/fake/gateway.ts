import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server, type Socket } from 'socket.io';
import type { GatewayUnderTest } from '../gateway.ts';
import { createChat } from './chat.ts';
import { accountRoutes } from './account.ts';
import { invitationRoutes, terminalRoutes } from './arrivals.ts';
import { createFactors } from './factors.ts';
import { createHttp, peopleRoutes } from './http.ts';
import { createPeople, type FakeSession, type Person } from './people.ts';
import { createPost } from './post.ts';
import { createSync } from './sync.ts';

/** A gateway that keeps everything in memory: enough of the contract for the page, nothing of its promises. */
export async function startFakeGateway({ port = 0 }: { port?: number } = {}): Promise<GatewayUnderTest> {
  const people = createPeople();
  const post = createPost();
  const factors = createFactors(people);
  let open = true;
  let url = '';
  const routes = {
    ...peopleRoutes(people, post, factors.requireSecondStep),
    ...factors.routes,
    ...accountRoutes({ people, post, socketsOf: (session) => socketsOf(session).length }),
    ...invitationRoutes(people, post, () => url),
    ...terminalRoutes(people, (person: Person, body) => {
      io.of('/').to(`user:${person.id}`).emit('device:request', body);
    }),
  };
  const http = createServer(createHttp(routes, () => open));
  const io = new Server(http, { transports: ['websocket'], serveClient: false });
  const socketsOf = ({ id }: FakeSession): Socket[] =>
    [io.of('/'), io.of('/sync')].flatMap((namespace) =>
      [...namespace.sockets.values()].filter((socket) => socket.rooms.has(`session:${id}`)),
    );
  people.onEnd((session) => {
    for (const socket of socketsOf(session)) {
      socket.emit('auth:revoked', { code: 'revoked' });
      socket.disconnect(true);
    }
  });
  io.engine.opts.allowRequest = (_request, done) => done(null, open);
  const chat = createChat(io.of('/'), people);
  const sync = createSync(io.of('/sync'), people);
  await new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;

  return {
    url,
    codeFor: (email, but) =>
      found(
        post.find(email, (text) => (/^\d{6}$/.test(text) && text !== but ? text : undefined)),
        email,
      ),
    inviteFor: (email) =>
      found(
        post.find(email, (text) => (text.includes('/invite#') ? text : undefined)),
        email,
      ),
    age(username) {
      const hour = 3_600_000;
      for (const session of people.sessionsOf(people.byName(username)?.id ?? '')) session.provedAt -= hour;
      return Promise.resolve();
    },
    grant(username) {
      people.grant(username);
      return Promise.resolve();
    },
    makeAdmin(username) {
      people.grant(username, 'admin');
      return Promise.resolve();
    },
    revoke(username) {
      people.endSessions(people.byName(username)?.id ?? '');
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

function found(text: string | undefined, email: string): Promise<string> {
  return text === undefined ? Promise.reject(new Error(`no mail for ${email}`)) : Promise.resolve(text);
}
