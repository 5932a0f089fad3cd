import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { Heard } from '../../server/auth/revoke-delays.ts';
import { createMetrics } from '../../server/metrics.ts';
import { until } from '../support/sync-gateway.ts';
import { startGateway } from './support/gateway.ts';
import type { Gateway, GatewayOptions } from './support/gateway.ts';

type Observed = [number, Heard][];

describe('the delay from revoke to disconnect', () => {
  const open: Gateway[] = [];
  afterEach(async () => {
    for (const gateway of open.splice(0).reverse()) await gateway.close();
  });

  const start = async (options: GatewayOptions = {}): Promise<{ gateway: Gateway; observed: Observed }> => {
    const observed: Observed = [];
    const onDisconnect = (seconds: number, heard: Heard): void => void observed.push([seconds, heard]);
    const gateway = await startGateway({ ...options, onDisconnect });
    open.push(gateway);
    return { gateway, observed };
  };
  const openSession = async ({ db }: Gateway): Promise<string> => {
    const id = randomUUID();
    await db.sql(
      `INSERT INTO sessions (tenant_id, id, principal_kind, principal_id, created_at, last_used_at, expires_at)
       VALUES (1, $1, 'client', $1, now(), now(), now() + interval '1 day')`,
      [id],
    );
    return id;
  };
  /** A socket that takes so long to go. */
  const listen = ({ identity }: Gateway, sessionId: string, closeMs = 0): void => {
    const close = (): void => {
      for (const end = performance.now() + closeMs; performance.now() < end;);
    };
    identity.sockets.register({ sessionId, principalKey: `client:${sessionId}`, tenantId: 1, close });
  };

  it('[P7] is measured on the node that revokes, once a session, to the close of the last of its sockets', async () => {
    const { gateway, observed } = await start();
    const id = await openSession(gateway);
    listen(gateway, id, 40);
    listen(gateway, id, 40);
    await gateway.identity.revoke({ tenantId: 1, kind: 'session', id }, { reason: 'test', by: null });
    await until('the figure', () => observed.length > 0);
    const [seconds, heard] = observed[0] ?? [0, 'poll'];
    expect([observed.length, heard]).to.deep.equal([1, 'here']);
    expect(seconds).to.be.within(0.08, 10);
  });

  it('[P7] is measured on another node from the end, not from when it heard of it', async () => {
    const { gateway, observed } = await start();
    const id = await openSession(gateway);
    listen(gateway, id);
    // nobody tells it: another node wrote this three seconds ago
    await gateway.db.sql(
      `UPDATE sessions SET revoked_at = clock_timestamp() - interval '3 seconds' WHERE id = $1`,
      [id],
    );
    await until('the figure', () => observed.length > 0);
    const [seconds, heard] = observed[0] ?? [0, 'here'];
    expect(heard).to.equal('poll');
    expect(seconds).to.be.within(3, 13);
  });

  it('is not measured where no socket was open', async () => {
    const { gateway, observed } = await start();
    const [a, b] = [await openSession(gateway), await openSession(gateway)];
    listen(gateway, b);
    for (const id of [a, b])
      await gateway.identity.revoke({ tenantId: 1, kind: 'session', id }, { reason: 'test', by: null });
    await until('the figure', () => observed.length > 0);
    expect(observed.length).to.equal(1);
  });

  it('is a histogram whose buckets tell the promises apart', async () => {
    const { registry, revokeDisconnect } = createMetrics();
    revokeDisconnect.observe({ heard: 'here' }, 0.7);
    const text = await registry.metrics();
    expect(text).to.match(/sluice_revoke_disconnect_seconds_bucket\{le="0.5",heard="here"\} 0/);
    for (const bound of [1, 2, 10])
      expect(text).to.include(`sluice_revoke_disconnect_seconds_bucket{le="${bound}",heard="here"} 1`);
  });
});
