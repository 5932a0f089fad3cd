import { setTimeout as sleep } from 'node:timers/promises';
import { registerClient, signUpOwner } from './admin.ts';
import { openCentre, untilLive } from './centre.ts';
import type { Centre, CentreOptions } from './centre.ts';
import { startChaos } from './chaos.ts';
import type { Chaos, Mishap } from './chaos.ts';
import { createBranchRun } from './fleet.ts';
import type { BranchRun } from './fleet.ts';
import { startDemoGateway } from './gateway.ts';
import type { DemoGateway } from './gateway.ts';
import type { DemoOptions } from './options.ts';
import { startBadNetwork } from './proxy.ts';
import type { BadNetwork } from './proxy.ts';
import { createRandom } from './random.ts';
import { reconcileBranch } from './report.ts';
import type { BranchOutcome } from './report.ts';
import { compareFigures } from './retail/expected.ts';
import type { LoadedBranch } from './retail/load.ts';
import type { Screen } from './screen.ts';

export interface DemoOutcome {
  ok: boolean;
  branches: BranchOutcome[];
  /** What happened how often, under chaos. */
  mishaps: Record<string, number>;
  seconds: number;
  fault?: string;
}

export interface RunOptions {
  options: DemoOptions;
  branches: LoadedBranch[];
  workDir: string;
  screen: Screen;
  signal: AbortSignal;
  /** Hears the outcome when it is known; with `stay` that is long before the end. */
  onOutcome: (outcome: DemoOutcome) => void;
}

/** Without any progress at the centre for so long, what has not arrived will not. */
const STALLED_MS = 45_000;
const ASK_MS = 250;
const ACCOUNT = { username: 'demo', email: 'demo@example.com', password: 'demo-shops-sell-well' };

/** Runs the main job once: gateway, branches and agents, selling, and the reckoning at the end. */
export async function runDemo(run: RunOptions): Promise<DemoOutcome> {
  const { options, screen, workDir } = run;
  const closing: (() => Promise<unknown>)[] = [];
  const started = performance.now();
  try {
    screen.line('Starting the gateway on its embedded PostgreSQL …');
    const gateway = await startDemoGateway(workDir, options.port);
    closing.push(() => gateway.close());
    await signUpOwner(gateway.url, ACCOUNT);
    screen.line(`Watch it live: ${gateway.url}   (user ${ACCOUNT.username}, password ${ACCOUNT.password})`);
    const network = options.chaos ? await badNetwork(gateway, options.seed) : undefined;
    if (network) closing.push(() => network.close());
    const place = { gateway, url: network?.url ?? gateway.url };
    const fleet = await createFleet(run, place);
    closing.push(() => Promise.all(fleet.map((branch) => branch.close())));
    const centreAt = await admit(gateway, place.url);
    const centre = await openCentre(centreAt);
    closing.push(() => centre.close());
    let chaos: Chaos | undefined;
    const start = network && ((): Chaos => (chaos = startDemoChaos({ gateway, network, fleet, run })));
    const fault = await sellAndSettle(run, fleet, centre, start);
    const mishaps = chaos && network ? { ...chaos.counts, 'message doubled': network.doubled } : {};
    const outcome = { mishaps, ...(await reckon(run, fleet, { ...centreAt, url: gateway.url })), ...fault };
    screen.settle();
    const seconds = (performance.now() - started) / 1_000;
    const whole = { ...outcome, ok: outcome.ok && fault.fault === undefined, seconds };
    run.onOutcome(whole);
    if (options.stay) await stay(run, gateway);
    return whole;
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

function badNetwork(gateway: DemoGateway, seed: number): Promise<BadNetwork> {
  return startBadNetwork({ targetPort: gateway.port, random: createRandom(seed + 1), doubleShare: 0.1 });
}

async function admit(gateway: DemoGateway, url: string): Promise<CentreOptions> {
  const keys = { url: gateway.url, adminKey: gateway.adminKey() };
  return { url, ...(await registerClient(keys, 'Demo centre', ['*:read'])) };
}

async function createFleet(
  run: RunOptions,
  place: { gateway: DemoGateway; url: string },
): Promise<BranchRun[]> {
  const keys = { url: place.gateway.url, adminKey: place.gateway.adminKey() };
  const fleet: BranchRun[] = [];
  for (const branch of run.branches) {
    const { slug, name } = branch.branch;
    const credentials = await registerClient(keys, name, [slug, '*:read']);
    fleet.push(await createBranchRun({ workDir: run.workDir, gatewayUrl: place.url, credentials, branch }));
    run.screen.line(
      `  branch ${slug}: ${branch.invoices.length} invoices to sell, ${branch.opening.length} products in stock, ` +
        `${branch.expected.orders.size} orders to place`,
    );
  }
  return fleet;
}

function startDemoChaos(parts: {
  gateway: DemoGateway;
  network: BadNetwork;
  fleet: BranchRun[];
  run: RunOptions;
}): Chaos {
  const { gateway, network, fleet, run } = parts;
  const random = createRandom(run.options.seed);
  const anyBranch = (): BranchRun | undefined => fleet[Math.floor(random() * fleet.length)];
  const mishaps: Mishap[] = [
    { name: 'gateway killed', run: () => done(gateway.kill(random() * 1_000)) },
    { name: 'PostgreSQL killed', run: () => Promise.resolve(gateway.killPostgres()) },
    { name: 'agent killed', run: () => done(anyBranch()?.killAgent(random() * 1_000)) },
    { name: 'till killed', run: async () => (await anyBranch()?.killTill(random() * 500)) === true },
    { name: 'connections cut', run: () => Promise.resolve(network.cut() > 0) },
  ];
  return startChaos(mishaps, random, (name) =>
    run.screen.line(`  ${new Date().toISOString().slice(11, 19)}  ${name}`),
  );
}

async function done(work: Promise<void> | undefined): Promise<boolean> {
  await work;
  return work !== undefined;
}

/** Sells everything, then waits until the centre has it or has stopped moving. Returns what went wrong. */
async function sellAndSettle(
  run: RunOptions,
  fleet: BranchRun[],
  centre: Centre,
  startChaos: (() => Chaos) | undefined,
): Promise<{ fault?: string }> {
  const { options, signal } = run;
  fleet.forEach((branch) => branch.startAgent());
  const stocked = await follow({ run, fleet, centre, until: stockUp(run, centre) });
  if (stocked !== '') return { fault: stocked };
  const chaos = startChaos?.();
  // what is killed at a till that has sold out is nothing
  if (chaos) fleet.forEach((branch) => branch.holdOpen());
  fleet.forEach((branch, i) => branch.startSelling(options.pace, options.seed + i));
  const held = chaos?.everyKind.then(() => fleet.forEach((branch) => branch.letEnd()));
  const selling = Promise.all([...fleet.map((branch) => branch.soldOut), held]).then(
    () => 'sold out',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  const sold = await follow({ run, fleet, centre, until: selling });
  await chaos?.stop();
  if (signal.aborted) return { fault: 'interrupted' };
  if (sold !== 'sold out') return { fault: sold };
  const arrived = await follow({ run, fleet, centre, until: settle(run, fleet, centre) });
  return arrived === '' ? {} : { fault: arrived };
}

/** Shows how things stand until `until` has a word, or the user has had enough. */
async function follow(watch: {
  run: RunOptions;
  fleet: BranchRun[];
  centre: Centre;
  until: Promise<string>;
}): Promise<string> {
  const { run, fleet, centre } = watch;
  const total = fleet.reduce((sum, branch) => sum + branch.total, 0);
  for (;;) {
    const word = await Promise.race([watch.until, sleep(100)]);
    if (word !== undefined) return word;
    if (run.signal.aborted) return 'interrupted';
    const invoices = await centre.invoices();
    const sold = fleet.reduce((sum, branch) => sum + branch.sold, 0);
    run.screen.progress(() => `sold ${sold} of ${total}   at the centre ${invoices}   ${stateOf(centre)}`);
  }
}

/** Waits until the opening stock of every branch is at the centre. */
function stockUp(run: RunOptions, centre: Centre): Promise<string> {
  return untilCentre(run, centre, {
    what: 'the opening stock has not arrived',
    holds: async () => {
      for (const { branch, opening } of run.branches) {
        const { stock } = await centre.figures(branch.slug);
        if (opening.some(({ sku, quantity }) => stock.get(sku) !== quantity)) return false;
      }
      return true;
    },
  });
}

/** Waits until the centre has everything. What is still different in the end, the reckoning shows. */
async function settle(run: RunOptions, fleet: BranchRun[], centre: Centre): Promise<string> {
  const total = fleet.reduce((sum, branch) => sum + branch.total, 0);
  const fault = await untilCentre(run, centre, {
    what: 'what was sold has not arrived',
    holds: async () => {
      if ((await centre.invoices()) < total) return false;
      for (const { branch, expected } of run.branches) {
        if (compareFigures(expected, await centre.figures(branch.slug)).length > 0) return false;
      }
      return true;
    },
  });
  const missing = total - (await centre.invoices());
  return missing > 0 && fault !== '' ? `${missing} invoices have not arrived` : fault;
}

/** Resolves with nothing when it holds, or says what is missing when the centre has not moved for long. */
async function untilCentre(
  run: RunOptions,
  centre: Centre,
  { what, holds }: { what: string; holds: () => Promise<boolean> },
): Promise<string> {
  let movedAt = performance.now();
  let last = '';
  while (!run.signal.aborted) {
    if (await holds()) return '';
    const now = stateOf(centre);
    if (now !== last) movedAt = performance.now();
    last = now;
    if (performance.now() - movedAt > STALLED_MS) return what;
    await sleep(ASK_MS);
  }
  return 'interrupted';
}

function stateOf(centre: Centre): string {
  const { state } = centre.client;
  return state.name === 'live' ? `version ${state.head}` : state.name;
}

/** Takes a fresh snapshot of the centre, over a connection that nothing has happened to, and compares all the books. */
async function reckon(
  run: RunOptions,
  fleet: BranchRun[],
  centreAt: CentreOptions,
): Promise<{ ok: boolean; branches: BranchOutcome[] }> {
  const centre = await openCentre(centreAt);
  try {
    await untilLive(centre.client, 60_000);
    const branches: BranchOutcome[] = [];
    for (const [i, { slug, databasePath }] of fleet.entries()) {
      const expected = run.branches[i]?.expected;
      if (expected) branches.push(await reconcileBranch({ slug, databasePath, expected }, centre));
    }
    return { branches, ok: branches.every(({ differences }) => differences.length === 0) };
  } finally {
    await centre.close();
  }
}

async function stay(run: RunOptions, gateway: DemoGateway): Promise<void> {
  run.screen.line(
    `Stays until Ctrl-C: ${gateway.url}   (user ${ACCOUNT.username}, password ${ACCOUNT.password})`,
  );
  while (!run.signal.aborted) await sleep(200);
}
