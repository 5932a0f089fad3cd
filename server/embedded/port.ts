import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * A free TCP port on 127.0.0.1, below the range systems hand out to outgoing connections: the server must get
 * the same port back after a restart, and a client that retries a closed port of that range may reach itself.
 */
export async function chooseFreePort(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const port = randomInt(20_000, 32_000);
    if (await isFree(port)) return port;
  }
  throw new Error('no free TCP port between 20000 and 32000 on 127.0.0.1');
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
