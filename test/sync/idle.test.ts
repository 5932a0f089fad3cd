import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { Registry } from 'prom-client';
import type { PushVerdict } from '../../protocol/sync.ts';
import { showTenants } from '../../server/sync/metrics.ts';
import {
  addTenant,
  connectWire,
  startSyncGateway,
  tokenFor,
  toPrincipal,
  until,
} from '../support/sync-gateway.ts';
import type { SyncGateway, WireClient } from '../support/sync-gateway.ts';
import { applied, asset } from './setup.ts';

/** Long enough for a hello to come between two sweeps, short enough to wait for. */
const IDLE_MS = 150;

describe('sync: what is kept of a tenant that nobody uses', () => {
  let gateway: SyncGateway;
  /** A tenant that nobody uses. */
  let idleTenant: number;
  /** Commits wait here. */
  let held: Promise<void> | undefined;
  const clients: WireClient[] = [];

  beforeEach(async () => {
    held = undefined;
    gateway = await startSyncGateway({ idleMs: IDLE_MS, afterCommit: () => held ?? Promise.resolve() });
    idleTenant = await addTenant(gateway.db);
  });
  afterEach(async () => {
    clients.splice(0).forEach((client) => client.close());
    await gateway.close();
  });
  const connect = async (tenantId: number): Promise<WireClient> => {
    const client = await connectWire(gateway.url, { token: tokenFor({ tenantId }) });
    clients.push(client);
    return client;
  };
  const followed = (): number => gateway.sync.tenants.followed;
  const written = (): number => gateway.sync.tenants.written;
  const released = (): boolean => followed() === 0 && written() === 0;
  /** Waits for the sweeps that let go of what was left alone at the beginning. */
  const sweeps = async (): Promise<void> => {
    const before = followed();
    await gateway.sync.follow(idleTenant);
    expect(followed()).to.equal(before + 1);
    await until('the release of the idle one', () => followed() === before);
  };
  /** An installation that writes without a socket, which would keep the feed. */
  const writer = async (): Promise<(id: string) => Promise<PushVerdict>> => {
    const token = tokenFor();
    const client = await connectWire(gateway.url, { token });
    await client.hello({ subscribe: [] });
    client.close();
    await until('the release', released);
    const { clientId, incarnation } = client;
    let seq = 0;
    return (id) => {
      const push = { seq: (seq += 1), batchId: randomUUID(), mutations: [asset(id)] };
      return gateway.sync.push({ principal: toPrincipal(token), clientId, incarnation }, push);
    };
  };

  it('[F33] it is let go of when the last socket has gone, and is there again for the next one', async () => {
    for (const tenantId of [1, idleTenant, await addTenant(gateway.db)]) {
      const a = await connect(tenantId);
      await a.hello();
      expect(await applied(a, asset('one'))).to.equal(1);
      await until('its own change', () => a.records.has('assets/one'));
    }
    expect(followed()).to.equal(3);
    const registry = new Registry();
    showTenants(registry, gateway.sync);
    const figures = await registry.metrics();
    expect(figures)
      .to.contain('sluice_tenants_followed 3\n')
      .and.to.match(/^sluice_tenants_written \d$/m);
    clients.splice(0).forEach((client) => client.close());
    await until('the release', released);
    const b = await connect(1);
    await b.hello();
    await until('the snapshot', () => b.records.has('assets/one'));
    expect(await applied(b, asset('two'))).to.equal(2);
    await until('the change', () => b.records.has('assets/two'));
    expect(b.faults).to.deep.equal([]);
  });

  it('[F33] a quiet socket keeps its feed: what others write reaches it', async () => {
    const write = await writer();
    const quiet = await connect(1);
    await quiet.hello();
    await until('the snapshot', () => quiet.cursor !== null);
    await sweeps();
    expect(gateway.sync.tenants).to.deep.equal({ followed: 1, written: 0 });
    await write('late');
    await until('the change', () => quiet.records.has('assets/late'));
    expect(quiet.socket.connected).to.equal(true);
  });

  it('[F33] [P3] a group that is being committed keeps its writer, and no other one is made beside it', async () => {
    const write = await writer();
    let free = (): void => undefined;
    held = new Promise((resolve) => (free = resolve));
    const first = write('slow');
    await sweeps();
    expect(written()).to.equal(1);
    const second = write('behind');
    held = undefined;
    free();
    expect([(await first).version, (await second).version]).to.deep.equal([1, 2]);
    await until('the release', released);
    expect((await write('later')).version).to.equal(3);
  });

  it('[F33] sockets that come and go while it is let go of miss nothing', async () => {
    const write = await writer();
    let releases = 0;
    for (let i = 0; i < 15 || (releases === 0 && i < 60); i += 1) {
      const reader = await connect(1);
      await reader.hello();
      await write(`r-${i}`);
      await until('the change', () => reader.records.has(`assets/r-${i}`));
      expect(reader.records.size).to.equal(i + 1);
      expect(reader.faults).to.deep.equal([]);
      reader.close();
      // before, around and after the moment of the release
      await new Promise((resolve) => setTimeout(resolve, (i * 70) % (3 * IDLE_MS)));
      if (followed() === 0) releases += 1;
    }
    expect(releases).to.be.above(0);
  });
});
