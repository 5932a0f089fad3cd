import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:net';
import type { Server } from 'node:http';
import { expect } from 'chai';
import WebSocket, { WebSocketServer } from 'ws';
import { createListener } from '../../server/listener.ts';

const SILENT_MS = 300;

describe('server: what listens', () => {
  let server: Server;
  const open: Socket[] = [];
  before(async () => {
    server = createListener(
      (_request, response) => void setTimeout(() => response.end('late'), 4 * SILENT_MS),
      {
        silentMs: SILENT_MS,
        requestMs: 2 * SILENT_MS,
      },
    );
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket) => socket.on('message', (text) => socket.send(text)));
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });
  after(() => {
    open.forEach((socket) => socket.destroy());
    server.closeAllConnections();
    server.close();
  });

  const port = (): number => (server.address() as AddressInfo).port;
  async function send(text: string): Promise<{ heard: string; ms: number }> {
    const start = performance.now();
    const socket = connect(port(), '127.0.0.1');
    open.push(socket);
    let heard = '';
    socket.on('data', (data) => (heard += data.toString()));
    if (text) socket.write(text);
    await once(socket, 'close');
    return { heard, ms: performance.now() - start };
  }

  for (const [what, text] of [
    ['says nothing', ''],
    ['never ends its headers', 'GET / HTTP/1.1\r\nhost: x\r\n'],
    ['never ends its body', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc'],
  ] as const)
    it(`[L11] [I4] a connection that ${what} is closed`, async () => {
      expect((await send(text)).ms).to.be.below(10 * SILENT_MS);
    });

  it('[L11] [I4] a request that waits for its answer, and a WebSocket that is silent, stay', async () => {
    const { heard } = await send('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    expect(heard).to.include('200 OK').and.include('late');
    const socket = new WebSocket(`ws://127.0.0.1:${port()}`);
    await once(socket, 'open');
    await new Promise((resolve) => setTimeout(resolve, 4 * SILENT_MS));
    socket.send('still here');
    const [echo] = (await once(socket, 'message')) as [Buffer];
    expect(echo.toString()).to.equal('still here');
    socket.close();
  });
});
