import { createFormClient, grantForm } from './form-client.ts';
import type { FormClient } from './form-client.ts';
import type { Report } from './report.ts';
import type { Run } from './run.ts';
import type { BenchClient } from './side.ts';
import type { RunningSide } from './start-side.ts';
import { percentile, toMetric } from './stats.ts';
import { sayHello } from './traffic.ts';
import { connectWire } from './wire-client.ts';

const SOCKETS = 100;

/** From asking for a revocation over HTTP to the close of the session's socket, as its client sees it: one by one, then all at once. */
export async function measureRevocation(run: Run): Promise<Report> {
  const { gateway } = run;
  const clients = await gateway.registerClients(SOCKETS);
  const http = createFormClient(gateway.url, 16);
  const single: number[] = [];
  for (const client of clients) single.push(await (await connect(gateway, http, client))());
  const revokes = await Promise.all(clients.map((client) => connect(gateway, http, client)));
  const together = await Promise.all(revokes.map((revoke) => revoke()));
  http.close();
  return {
    revoke_disconnect_p99_ms: toMetric(percentile([...single, ...together], 0.99), null, 'ms'),
    revoke_disconnect_p50_ms: toMetric(percentile(single, 0.5), null, 'ms'),
  };
}

/** Connects with a session of its own. What it returns revokes that, and resolves with the milliseconds until it was cut off. */
async function connect(
  { url }: RunningSide,
  http: FormClient,
  client: BenchClient,
): Promise<() => Promise<number>> {
  const { body } = await http.post('/oauth/token', grantForm(client));
  const token = String(body['access_token']);
  const wire = await connectWire(url, { token });
  await sayHello(wire, []);
  return () =>
    new Promise((resolve, reject) => {
      const start = performance.now();
      wire.onClose = () => resolve(performance.now() - start);
      const { clientId: client_id, clientSecret: client_secret } = client;
      const form = new URLSearchParams({ token, client_id, client_secret }).toString();
      http.post('/oauth/revoke', form).then(({ status }) => {
        if (status !== 200) reject(new Error(`not revoked: ${status}`));
      }, reject);
    });
}
