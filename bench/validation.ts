import { createVerifier } from '../sdk/verify.ts';
import { createFormClient, grantForm } from './form-client.ts';
import type { Report } from './report.ts';
import type { Run } from './run.ts';
import { percentile, toMetric } from './stats.ts';

const TOKENS = 400;
const WARM_UP = 100;

/** What checking a token adds to a request of another service: one that it sees for the first time, and one that it knows. */
export async function measureValidation(run: Run): Promise<Report> {
  const [client] = await run.gateway.registerClients(1);
  if (!client) throw new Error('no client');
  const http = createFormClient(run.gateway.url, 4);
  const tokens: string[] = [];
  while (tokens.length < TOKENS + WARM_UP) {
    const { body } = await http.post('/oauth/token', grantForm(client));
    tokens.push(String(body['access_token']));
  }
  http.close();
  const verifier = createVerifier({ issuer: run.gateway.url });
  const measure = async (token: string): Promise<number> => {
    const start = performance.now();
    await verifier.verify(token);
    return performance.now() - start;
  };
  for (const token of tokens.splice(0, WARM_UP)) await measure(token);
  const samples = { first: [] as number[], again: [] as number[] };
  for (const token of tokens) {
    samples.first.push(await measure(token));
    samples.again.push(await measure(token));
  }
  verifier.close();
  return {
    local_validation_p50_ms: toMetric(percentile(samples.first, 0.5), null, 'ms'),
    local_validation_p99_ms: toMetric(percentile(samples.first, 0.99), null, 'ms'),
    local_validation_again_p50_ms: toMetric(percentile(samples.again, 0.5), null, 'ms'),
  };
}
