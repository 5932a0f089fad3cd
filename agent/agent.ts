import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineOptions, TokenSource } from '../sdk/types.ts';
import { install } from './capture.ts';
import { askClaim, claimOf, heldReason, OLDER_HELD } from './claim.ts';
import type { AgentConfig } from './config.ts';
import { fileIdentity, inTransaction } from './database.ts';
import { drainOnce, isOutboxFull } from './drain.ts';
import type { ExitCode } from './errors.ts';
import { AgentError, EXIT, sqliteFaultOf } from './errors.ts';
import { acquireLock } from './lock.ts';
import type { Log } from './log.ts';
import type { Reporter } from './reporter.ts';
import { createReporter } from './reporter.ts';
import { findRightsFaults } from './rights.ts';
import type { Session } from './session.ts';
import { openSession, requireFit } from './session.ts';
import type { AgentStatus } from './status.ts';

export interface AgentDeps {
  config: AgentConfig;
  tokens: TokenSource;
  log: Log;
  /** How the connection works underneath. */
  engine?: EngineOptions;
  /** False only in the test that must see what comes of it: what is applied is echoed. */
  guard?: boolean;
  now?: () => Date;
}

export interface Agent {
  /** Resolves with the exit code when the agent has ended. */
  readonly done: Promise<ExitCode>;
  status(): Promise<AgentStatus>;
  /** Finishes the transaction at hand and disconnects. */
  close(): Promise<void>;
}

/** Codes with which the gateway says that these credentials will not do: trying again will not help. */
const NOT_ALLOWED = new Set([
  'invalid_client',
  'unauthorized_client',
  'invalid_scope',
  'invalid_token',
  'access_denied',
  'forbidden',
  'revoked',
]);

/** How long a fault that passes is waited for, at first and at most. */
const RETRY_MS = { first: 100, most: 5_000 };
const FILE_CHECK_MS = 500;
const TICK_MS = 250;

/** Starts the agent of one branch. Throws AgentError when another one runs on the same database. */
export function startAgent(deps: AgentDeps): Agent {
  const lock = acquireLock(deps.config.database);
  const agent = new BranchAgent(deps);
  const done = agent.run().finally(() => lock.release());
  return {
    done,
    status: () => agent.reporter.status(),
    async close() {
      agent.stop(EXIT.ok);
      await done;
    },
  };
}

class BranchAgent {
  readonly #deps: AgentDeps;
  readonly reporter: Reporter;
  readonly #stopping = new AbortController();
  #exitCode: ExitCode = EXIT.ok;
  #wasLive = false;

  constructor(deps: AgentDeps) {
    this.#deps = deps;
    const now = deps.now ?? ((): Date => new Date());
    this.reporter = createReporter({ database: deps.config.database, log: deps.log, now });
  }

  stop(code: ExitCode): void {
    if (this.#isStopping()) return;
    this.#exitCode = code;
    this.#stopping.abort();
  }

  async run(): Promise<ExitCode> {
    const { log } = this.#deps;
    try {
      while (!this.#isStopping()) {
        const session = await this.#open();
        if (session) await this.#work(session);
      }
    } catch (error) {
      if (!(error instanceof AgentError)) log.error('stopped', { message: messageOf(error) });
      else log.error('stopped', { message: error.message, faults: error.faults });
      this.#exitCode = error instanceof AgentError ? error.exitCode : EXIT.fault;
    }
    this.reporter.wait('stopped');
    await this.reporter.tick();
    return this.#exitCode;
  }

  /** Waits for the file to be there and to be ours. Undefined: stop. */
  async #open(): Promise<Session | undefined> {
    for (let retryMs = RETRY_MS.first; !this.#isStopping(); retryMs = Math.min(retryMs * 2, RETRY_MS.most)) {
      if (fileIdentity(this.#deps.config.database) === undefined) {
        this.reporter.wait('waiting_for_database');
        retryMs = Math.min(retryMs, FILE_CHECK_MS);
      } else {
        const session = await this.#tryOpen();
        if (session) return session;
      }
      await this.reporter.tick();
      await this.#pause(retryMs);
    }
    return undefined;
  }

  async #tryOpen(): Promise<Session | undefined> {
    try {
      return await openSession({
        ...this.#deps,
        onFault: (event, error) => this.reporter.fault(event, error),
      });
    } catch (error) {
      const fault = sqliteFaultOf(error);
      if (fault === undefined || fault === 'other') throw error;
      this.reporter.fault(`database_${fault}`, error);
      return undefined;
    }
  }

  /** Until the agent stops or the file is another one. */
  async #work(session: Session): Promise<void> {
    this.reporter.follow(session);
    session.client.on('state', (state) => {
      if (state.name === 'live' && !this.#wasLive) void this.#tellRights();
      if (state.name === 'live') this.#wasLive = true;
      if (state.name !== 'refused' || this.#wasLive || !NOT_ALLOWED.has(state.code)) return;
      this.stop(EXIT.notAllowed);
    });
    try {
      await session.client.start();
      await this.#pump(session);
    } finally {
      // What is known of the store, for whoever asks after the stop.
      await this.reporter.keep().catch(() => undefined);
      await session.close();
    }
  }

  /** Nothing else would say why nothing comes down. */
  async #tellRights(): Promise<void> {
    const { config, tokens, log } = this.#deps;
    const { faults, warnings } = await findRightsFaults(config, tokens, this.#stopping.signal);
    if (this.#isStopping()) return;
    for (const meaning of [...faults, ...warnings]) log.warn('missing_rights', { meaning });
  }

  async #pump(session: Session): Promise<void> {
    const watch = createWatch(session, this.#deps, this.reporter);
    let retryMs = RETRY_MS.first;
    let tickAt = 0;
    while (!this.#isStopping()) {
      let waitMs = this.#deps.config.pollMs;
      try {
        if (watch.isReplaced()) {
          this.reporter.wait('database_replaced');
          return;
        }
        if (await watch.step()) waitMs = 0;
        retryMs = RETRY_MS.first;
      } catch (error) {
        waitMs = retryMs;
        retryMs = Math.min(retryMs * 2, RETRY_MS.most);
        this.#judge(error);
      }
      if (Date.now() >= tickAt) {
        await this.#tick();
        tickAt = Date.now() + TICK_MS;
      }
      await this.#pause(waitMs);
    }
  }

  async #tick(): Promise<void> {
    try {
      await this.reporter.tick();
    } catch (error) {
      this.#judge(error);
    }
  }

  /** Faults that pass are waited out; of the others the agent dies visibly. */
  #judge(error: unknown): void {
    const fault = sqliteFaultOf(error);
    if (fault === undefined || fault === 'other') throw error;
    this.reporter.fault(`database_${fault}`, error);
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
  }

  #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }
}

interface Watch {
  isReplaced(): boolean;
  /** Moves what was captured, if anything was; true: there is more to do at once. */
  step(): Promise<boolean>;
}

/**
 * `PRAGMA data_version` changes when another connection has committed, and costs a look into shared memory: so the
 * capture table is read only after somebody wrote.
 */
function createWatch(session: Session, { config, log }: AgentDeps, reporter: Reporter): Watch {
  const { database, ledger, backfill, resender, store, drain } = session;
  const dataVersion = database.prepare('PRAGMA data_version');
  const schemaVersion = database.prepare('PRAGMA schema_version');
  let seenData: unknown;
  let seenSchema = valueOf(schemaVersion.get());
  let checkAt = 0;
  /** Changes wait for a verdict; and one has come. */
  const wait = { is: false, over: false };
  session.client.on('verdict', () => (wait.over = true));
  const repair = (): void => {
    // The ERP may be in the middle of an upgrade: the next start says whether it stays so.
    requireFit(config, database, EXIT.fault);
    const { triggers } = inTransaction(database, () => {
      const installation = install(database, config.mapping);
      if (installation.triggers > 0 && config.backfill) backfill.restart();
      return installation;
    });
    if (triggers > 0) log.warn('triggers_repaired', { triggers, backfill: config.backfill });
    seenSchema = valueOf(schemaVersion.get());
  };
  const hasWork = (version: unknown): boolean => {
    const isNew = version !== seenData && (ledger.hasCaptured() || resender.hasRetries());
    // Older rows are not gone through while changes wait for a verdict: what these mean is not known yet.
    const isOlder = backfill.state() !== undefined && !backfill.isHeld() && !wait.is;
    return isNew || isOlder || resender.hasDue() || (wait.is && wait.over);
  };
  const drainAndTell = (): boolean => {
    wait.over = false;
    const { more, refused, resent, waiting } = drainOnce(drain);
    wait.is = waiting;
    for (const one of resent) log.info('batch_sent_again', { ...one });
    if (refused > 0) log.warn('refused_here', { refused, see: 'agent inbox' });
    const held = backfill.isHeld() ? heldReason(ledger) : undefined;
    if (held !== undefined) reporter.fault(OLDER_HELD, new Error(held));
    return more;
  };
  return {
    isReplaced() {
      if (Date.now() < checkAt) return false;
      checkAt = Date.now() + FILE_CHECK_MS;
      return fileIdentity(config.database) !== session.file;
    },
    async step() {
      const version = valueOf(dataVersion.get());
      if (valueOf(schemaVersion.get()) !== seenSchema) repair();
      if (claimOf(ledger) === 'due')
        store.enqueueInTransaction(({ enqueue }) => askClaim(ledger, config.partition, enqueue));
      if (!hasWork(version)) {
        seenData = version;
        return false;
      }
      // What a change of an older movement means is known only then: until the centre has answered, all stays captured.
      if (backfill.isWaiting() || isOutboxFull(await store.outboxCount())) return false;
      const more = drainAndTell();
      // Only now: after a fault the next step must look again.
      if (!more) seenData = version;
      return more;
    },
  };
}

function valueOf(row: unknown): unknown {
  return Object.values(row as Record<string, unknown>)[0];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
