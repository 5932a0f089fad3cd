import type { Change, SyncClient } from '../../sdk/index.ts';
import { failureOf, openSync } from '../connected.ts';
import { changeLine, failureLines, omittedLine } from '../render.ts';
import { watchingLine } from '../render-shell.ts';
import type { Trail } from '../trail.ts';
import { createTrail } from '../trail.ts';
import type { ViewDeps } from './chat-view.ts';

/** Changes of the records among the chat; too many to read are counted instead. */
export interface LiveView {
  /** The collections watched; empty: none. */
  readonly watching: readonly string[];
  watch(collections: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

/** Lines in a second that a person can still make out. */
const LINES_PER_WINDOW = 8;
const WINDOW_MS = 1_000;

export function createLiveView(deps: ViewDeps): LiveView {
  return new ChangesView(deps);
}

class ChangesView implements LiveView {
  readonly #deps: ViewDeps;
  readonly #omitted = new Map<string, number>();
  #client: SyncClient | undefined;
  #watching: readonly string[] = [];
  #left = LINES_PER_WINDOW;
  #stopWindow: (() => void) | undefined;

  constructor(deps: ViewDeps) {
    this.#deps = deps;
  }

  get watching(): readonly string[] {
    return this.#watching;
  }

  async watch(collections: readonly string[]): Promise<void> {
    await this.stop();
    const client = openSync(
      this.#deps.context,
      collections.map((collection) => ({ collection })),
    );
    this.#client = client;
    this.#watching = collections;
    this.#listen(client, createTrail());
    await client.start();
  }

  async stop(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    this.#watching = [];
    this.#stopWindow?.();
    this.#stopWindow = undefined;
    this.#omitted.clear();
    this.#left = LINES_PER_WINDOW;
    await client?.close();
  }

  #listen(client: SyncClient, trail: Trail): void {
    const { context, screen, refresh } = this.#deps;
    client.on('reset', () => trail.clear());
    client.on('snapshot', ({ records, received, more }) => {
      trail.see(records);
      if (!more) screen.say(watchingLine(context.theme, this.#watching, received));
    });
    client.on('changes', ({ changes }) => {
      for (const change of changes) this.#show(change, trail);
    });
    client.on('state', (state) => {
      // What cuts the connection cuts the chat's too, and is told there. A refusal is of this subscription.
      const failure = state.name === 'refused' ? failureOf(state) : undefined;
      if (!failure || client !== this.#client) return;
      screen.say(...failureLines(context.theme, failure));
      void this.stop().then(refresh);
    });
  }

  #show(change: Change, trail: Trail): void {
    const before = trail.step(change);
    const { screen, paper, context } = this.#deps;
    this.#stopWindow ??= context.clock.after(WINDOW_MS, () => this.#endWindow());
    if (this.#left > 0) {
      this.#left -= 1;
      screen.say(changeLine(paper, change, before));
    } else this.#omitted.set(change.collection, (this.#omitted.get(change.collection) ?? 0) + 1);
  }

  #endWindow(): void {
    const { screen, context } = this.#deps;
    this.#stopWindow = undefined;
    this.#left = LINES_PER_WINDOW;
    if (this.#omitted.size > 0) screen.say(omittedLine(context.theme, this.#omitted));
    this.#omitted.clear();
  }
}
