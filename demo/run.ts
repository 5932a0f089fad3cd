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
}

/** Without any progress at the centre for so long, what has not arrived will not. */
const STALLED_MS = 45_000;
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
    const chaos = network && startDemoChaos({ gateway, network, fleet, seed: options.seed, screen });
    const fault = await sellAndSettle(run, fleet, centre, chaos);
    const mishaps = chaos ? { ...chaos.counts, 'message doubled': network.doubled } : {};
    const outcome = { mishaps, ...(await reckon(run, fleet, { ...centreAt, url: gateway.url })), ...fault };
    screen.settle();
    if (options.stay) await stay(run, gateway);
    const seconds = (performance.now() - started) / 1_000;
    return { ...outcome, ok: outcome.ok && fault.fault === undefined, seconds };
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
    run.screen.line(`  branch ${slug}: ${branch.invoices.length} invoices to sell`);
  }
  return fleet;
}

function startDemoChaos(parts: {
  gateway: DemoGateway;
  network: BadNetwork;
  fleet: BranchRun[];
  seed: number;
  screen: Screen;
}): Chaos {
  const { gateway, network, fleet, screen } = parts;
  const random = createRandom(parts.seed);
  const anyBranch = (): BranchRun | undefined => fleet[Math.floor(random() * fleet.length)];
  const mishaps: Mishap[] = [
    { name: 'gateway killed', run: () => gateway.kill(random() * 1_000) },
    { name: 'PostgreSQL killed', run: () => Promise.resolve(void gateway.killPostgres()) },
    { name: 'agent killed', run: async () => anyBranch()?.killAgent(random() * 1_000) },
    { name: 'till killed', run: async () => anyBranch()?.killTill(random() * 500) },
    { name: 'connections cut', run: () => Promise.resolve(void network.cut()) },
  ];
  return startChaos(mishaps, random, (name) =>
    screen.line(`  ${new Date().toISOString().slice(11, 19)}  ${name}`),
  );
}

/** Sells everything, then waits until the centre has it or has stopped moving. Returns what went wrong. */
async function sellAndSettle(
  run: RunOptions,
  fleet: BranchRun[],
  centre: Centre,
  chaos: Chaos | undefined,
): Promise<{ fault?: string }> {
  const { options, signal } = run;
  fleet.forEach((branch, i) => {
    branch.startAgent();
    branch.startSelling(options.pace, options.seed + i);
  });
  const selling = Promise.all(fleet.map((branch) => branch.soldOut)).then(
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

/** Waits until every invoice is at the centre; says how many are missing when nothing has moved for long. */
async function settle(run: RunOptions, fleet: BranchRun[], centre: Centre): Promise<string> {
  const total = fleet.reduce((sum, branch) => sum + branch.total, 0);
  let movedAt = performance.now();
  let last = -1;
  while (!run.signal.aborted) {
    const invoices = await centre.invoices();
    if (invoices >= total) return '';
    if (invoices !== last) movedAt = performance.now();
    last = invoices;
    if (performance.now() - movedAt > STALLED_MS) return `${total - invoices} invoices have not arrived`;
    await sleep(100);
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
  run.screen.line(`The gateway stays at ${gateway.url} until Ctrl-C.`);
  while (!run.signal.aborted) await sleep(200);
}
