import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Context } from 'koa';
import { addressAdvice } from '../../server/address-advice.ts';
import type { Identity } from '../../server/auth/identity.ts';
import { parseConfig } from '../../server/config.ts';
import type { Arrival } from '../../server/io.ts';
import { createOriginCheck } from '../../server/origins.ts';
import { isWebRequest } from '../../server/routes/web-session.ts';
import { createBlankDatabase } from '../support/database.ts';
import { startGatewayProcess } from '../support/gateway-process.ts';

/** What sockets and CORS say of an origin, and what the routes with the cookie say. */
function answers(origin: string, socket: Arrival, env: Record<string, string> = {}): [boolean, boolean] {
  const config = parseConfig(env);
  const issuer = (): string => config.PUBLIC_URL ?? 'http://localhost:8300';
  const identity = { core: { config, issuer } } as unknown as Identity;
  const headers: Record<string, string> = { 'X-Sluice-Web': '1', Origin: origin };
  const ctx = { socket, get: (name: string) => headers[name] ?? '' } as unknown as Context;
  let isWeb = false;
  try {
    isWeb = isWebRequest(identity, ctx);
  } catch {
    // origin_refused
  }
  return [createOriginCheck(config, issuer)(origin, socket), isWeb];
}

describe('a gateway that other machines reach', () => {
  const HERE = { localAddress: '192.0.2.2', localPort: 8300 };

  it('[S59] [S60] without PUBLIC_URL the address a connection came in at is our own', () => {
    const own: [string, Arrival][] = [
      ['http://192.0.2.2:8300', HERE],
      ['http://192.0.2.2', { localAddress: '::ffff:192.0.2.2', localPort: 80 }],
      ['http://[2001:db8::2]:8300', { localAddress: '2001:db8::2', localPort: 8300 }],
    ];
    for (const [origin, arrival] of own) expect(answers(origin, arrival), origin).to.deep.equal([true, true]);
  });

  it('[S59] [S60] a name that resolves to it, another port and another scheme are not', () => {
    const others = [
      'http://rebound.example:8300',
      'http://192.0.2.3:8300',
      'http://192.0.2.2:8301',
      'http://192.0.2.2',
      'https://192.0.2.2:8300',
      'null',
    ];
    for (const origin of others) expect(answers(origin, HERE), origin).to.deep.equal([false, false]);
  });

  it('[S59] [S60] with PUBLIC_URL that alone is', () => {
    const env = { PUBLIC_URL: 'https://sync.example.com' };
    expect(answers('https://sync.example.com', HERE, env)).to.deep.equal([true, true]);
    expect(answers('http://192.0.2.2:8300', HERE, env)).to.deep.equal([false, false]);
  });

  it('[OP9] says what to set when it listens for other machines and nobody said where it is reached', () => {
    const address = (): string => '192.0.2.2';
    const advise = (env: Record<string, string>): string =>
      addressAdvice(parseConfig(env), 'http://localhost:8378', address) ?? '';
    expect(advise({ HOST: '0.0.0.0' }))
      .to.contain('PUBLIC_URL=http://192.0.2.2:8378')
      .and.contain('localhost');
    expect(advise({ HOST: '::' })).to.contain('PUBLIC_URL=http://192.0.2.2:8378');
    expect(advise({ HOST: '192.0.2.9' })).to.contain('PUBLIC_URL=http://192.0.2.9:8378');
    for (const env of [
      {},
      { HOST: 'localhost' },
      { HOST: '127.0.0.9' },
      { HOST: '::1' },
      { HOST: '0.0.0.0', PUBLIC_URL: 'https://sync.example.com' },
      { HOST: '0.0.0.0', ROLE: 'auth', AUTH_URL: 'https://auth.example.com' },
    ])
      expect(advise(env), JSON.stringify(env)).to.equal('');
  });

  it('[OP9] [S60] one can log in at its address, and a page of another name cannot', async function () {
    this.timeout(60_000);
    const dataDir = await mkdtemp(join(tmpdir(), 'sluice-reached-'));
    const env = { DATA_DIR: dataDir, PORT: '0', HOST: '0.0.0.0', DATABASE_URL: await createBlankDatabase() };
    const gateway = startGatewayProcess(env);
    try {
      const { port } = new URL(await gateway.url);
      const url = `http://127.0.0.9:${port}`;
      const logIn = async (origin: string): Promise<unknown> => {
        const headers = { 'Content-Type': 'application/json', 'X-Sluice-Web': '1', Origin: origin };
        const body = JSON.stringify({ username: 'nobody', password: 'not a password' });
        const response = await fetch(`${url}/api/login`, { method: 'POST', headers, body });
        return ((await response.json()) as { code: string }).code;
      };
      expect(await logIn(url)).to.equal('invalid_credentials');
      expect(await logIn(`http://rebound.example:${port}`)).to.equal('origin_refused');
      const handshake = async (origin: string): Promise<number> =>
        (await fetch(`${url}/socket.io/?EIO=4&transport=polling`, { headers: { Origin: origin } })).status;
      expect(await handshake(url)).to.equal(200);
      expect(await handshake(`http://rebound.example:${port}`)).to.equal(403);
      expect(gateway.stdout()).to.contain('PUBLIC_URL=http://').and.contain(`:${port}`);
    } finally {
      gateway.child.kill('SIGKILL');
      await gateway.ended;
      await rm(dataDir, { recursive: true, force: true });
    }
  });
});
