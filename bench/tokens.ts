import { settle } from './database.ts';
import { createFormClient, grantForm } from './form-client.ts';
import type { FormClient } from './form-client.ts';
import type { Report } from './report.ts';
import type { Run } from './run.ts';
import { median, toMetric } from './stats.ts';

/** Requests under way at a time, each for a client of its own. */
const LANES = 32;

/** Tokens a second at POST /oauth/token, against a bare Koa and jose route that reads one row. */
export async function measureTokens(run: Run): Promise<Report> {
  const sides = await Promise.all(
    [run.gateway, run.bare].map(async (side) => ({
      name: side.name,
      forms: (await side.registerClients(LANES)).map(grantForm),
      http: createFormClient(side.url, LANES),
      rates: [] as number[],
    })),
  );
  for (let round = 0; round <= run.rounds; round += 1) {
    await settle(run.databaseUrl);
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      const rate = await measureRate(side.http, side.forms, run.seconds);
      // the first is for warming up
      if (round > 0) side.rates.push(rate);
      run.log(
        `token_endpoint ${side.name} ${round === 0 ? 'warm-up' : `round ${round}`}: ${Math.round(rate)}/s`,
      );
    }
  }
  for (const { http } of sides) http.close();
  const [gateway = [], bare = []] = sides.map(({ rates }) => rates);
  return { token_endpoint: toMetric(median(gateway), median(bare), 'tokens/s') };
}

async function measureRate(http: FormClient, forms: readonly string[], seconds: number): Promise<number> {
  const end = performance.now() + seconds * 1_000;
  let issued = 0;
  const lane = async (form: string): Promise<void> => {
    while (performance.now() < end) {
      const { status, body } = await http.post('/oauth/token', form);
      if (status !== 200) throw new Error(`no token: ${status} ${JSON.stringify(body)}`);
      if (performance.now() <= end) issued += 1;
    }
  };
  await Promise.all(forms.map(lane));
  return issued / seconds;
}
