import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { createApp } from '../../server/app.ts';
import type { App } from '../../server/app.ts';
import { parseConfig } from '../../server/config.ts';
import type { Hints } from '../../server/hints.ts';
import { createLogger } from '../../server/log.ts';
import { createBlankDatabase } from '../support/database.ts';

describe('a gateway of which a part does not stop', () => {
  let dataDir: string;
  let logged: string;

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-stop-'));
    logged = '';
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  /** Its bus stops as it should, and says that it did not. */
  const failing = (bus: Hints): Hints => {
    const close = bus.close.bind(bus);
    bus.close = () => close().then(() => Promise.reject(new Error('the bus went wrong')));
    return bus;
  };
  const start = async (port: number): Promise<App> => {
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        logged += chunk.toString();
        done();
      },
    });
    const env = { DATABASE_URL: await createBlankDatabase(), DATA_DIR: dataDir, PORT: String(port) };
    const log = createLogger('error', stream);
    return await createApp({ config: parseConfig(env), log, console: stream, faults: { hints: failing } });
  };

  it('[OP3] a start that fails says why it failed, and logs what did not stop', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const error = await start((other.address() as AddressInfo).port).catch((failure: unknown) => failure);
    await new Promise((resolve) => other.close(resolve));
    expect(error).to.include({ code: 'EADDRINUSE' });
    expect(logged).to.contain('the bus went wrong');
  });

  it('[OP2] a stop that fails says what went wrong', async () => {
    const app = await start(0);
    const error = await app.close().catch((failure: unknown) => failure);
    expect(String(error)).to.contain('the bus went wrong');
  });
});
