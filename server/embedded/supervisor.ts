import { setTimeout as sleep } from 'node:timers/promises';
import { endLeftovers } from './leftovers.ts';
import { startPostmaster, type Postmaster, type PostmasterExit, type PostmasterPlace } from './postmaster.ts';
import type { Tools } from './tools.ts';

const firstDelayMs = 50;
const longestDelayMs = 5_000;
const steadyMs = 10_000;

export interface SupervisorOptions {
  tools: Tools;
  place: PostmasterPlace;
  log: (message: string) => void;
  restart: boolean;
  onExit: (exit: PostmasterExit) => void;
}

/** Keeps one server running on one port: when it ends unasked, it is started again, later and later. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #closing = new AbortController();
  #current: Postmaster;
  #startedAt = Date.now();
  #delayMs = firstDelayMs;
  #restarting: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;

  constructor(options: SupervisorOptions, first: Postmaster) {
    this.#options = options;
    this.#current = first;
    this.#watch();
  }

  /** The process id of the latest server; it changes with a restart. */
  get pid(): number {
    return this.#current.pid;
  }

  /** Stops the server (fast shutdown) and its supervision; further calls give the same promise. */
  async close(): Promise<void> {
    this.#closed ??= this.#stop();
    return this.#closed;
  }

  async #stop(): Promise<void> {
    this.#closing.abort();
    await this.#restarting;
    await this.#current.stop();
  }

  #watch(): void {
    void this.#current.exited.then((exit) => {
      if (this.#closing.signal.aborted) return;
      this.#options.log(
        `PostgreSQL ended unexpectedly (${exit.signal ?? `exit code ${exit.code ?? 'none'}`})`,
      );
      this.#options.onExit(exit);
      if (this.#options.restart) this.#restarting = this.#restart();
    });
  }

  async #restart(): Promise<void> {
    if (Date.now() - this.#startedAt > steadyMs) this.#delayMs = firstDelayMs;
    while (!this.#closing.signal.aborted) {
      await sleep(this.#delayMs, undefined, { signal: this.#closing.signal }).catch(() => undefined);
      this.#delayMs = Math.min(this.#delayMs * 2, longestDelayMs);
      if (await this.#tryStart()) return;
    }
  }

  async #tryStart(): Promise<boolean> {
    const { tools, place, log } = this.#options;
    if (this.#closing.signal.aborted) return false;
    try {
      await endLeftovers(tools, place.clusterDir, log);
      this.#current = await startPostmaster(tools, place, log);
    } catch (error) {
      log(`PostgreSQL could not be started again: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    }
    this.#startedAt = Date.now();
    log(`PostgreSQL ${this.#current.version} is back on 127.0.0.1:${place.port}`);
    this.#watch();
    return true;
  }
}
