import { createServer } from 'node:net';

/** Fails as listening would, before a database is made and migrated for a gateway that then cannot listen. */
export async function requireFreePort(port: number, host: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  await new Promise((resolve) => server.close(resolve));
}
