import { createInterface, clearScreenDown, cursorTo, moveCursor } from 'node:readline';
import type { Interface } from 'node:readline';
import type { Context } from '../context.ts';
import { widthOf } from '../terminal-text.ts';

/** A prompt at the bottom, and lines that arrive above it without disturbing what is being typed. */
export interface Screen {
  readonly columns: number;
  readonly rows: number;
  /** Prints lines above the prompt. */
  say(...lines: string[]): void;
  setPrompt(prompt: string): void;
  /** Takes the line just entered off the screen. */
  eraseEntered(line: string): void;
  /** What is being typed. */
  readonly typed: string;
  /** Restores the terminal. */
  close(): void;
  /** Resolves at Ctrl-C, Ctrl-D and `close()`. */
  readonly closed: Promise<void>;
}

export interface ScreenEvents {
  onLine: (line: string) => void;
  onKey: () => void;
  complete: (line: string) => [string[], string];
}

export function openScreen(context: Context, events: ScreenEvents): Screen {
  return new ReadlineScreen(context, events);
}

const HISTORY_SIZE = 200;

class ReadlineScreen implements Screen {
  readonly #output: Context['output'];
  readonly #rl: Interface;
  readonly closed: Promise<void>;
  #open = true;

  constructor({ input, output, signal }: Context, { onLine, onKey, complete }: ScreenEvents) {
    this.#output = output;
    this.#rl = createInterface({
      input,
      output,
      terminal: true,
      completer: complete,
      historySize: HISTORY_SIZE,
      removeHistoryDuplicates: true,
      signal,
    });
    this.closed = new Promise((resolve) => {
      this.#rl.once('close', () => {
        this.#open = false;
        resolve();
      });
    });
    this.#rl.on('line', onLine);
    this.#rl.on('SIGINT', () => this.close());
    input.on('keypress', onKey);
    void this.closed.then(() => input.removeListener('keypress', onKey));
  }

  get columns(): number {
    return this.#output.columns ?? 80;
  }

  get rows(): number {
    return this.#output.rows ?? 24;
  }

  get typed(): string {
    return this.#rl.line;
  }

  say(...lines: string[]): void {
    if (!this.#open) return;
    // Up to the first row of the prompt, which may have wrapped; then everything below is drawn anew.
    moveCursor(this.#output, 0, -this.#rl.getCursorPos().rows);
    cursorTo(this.#output, 0);
    clearScreenDown(this.#output);
    this.#output.write(lines.map((line) => `${line}\n`).join(''));
    this.#redraw();
  }

  setPrompt(prompt: string): void {
    if (!this.#open) return;
    const before = this.#rl.getCursorPos().rows;
    moveCursor(this.#output, 0, -before);
    cursorTo(this.#output, 0);
    clearScreenDown(this.#output);
    this.#rl.setPrompt(prompt);
    this.#redraw();
  }

  eraseEntered(line: string): void {
    const width = widthOf(this.#rl.getPrompt()) + widthOf(line);
    moveCursor(this.#output, 0, -(Math.floor(width / this.columns) + 1));
    cursorTo(this.#output, 0);
    clearScreenDown(this.#output);
  }

  close(): void {
    if (!this.#open) return;
    moveCursor(this.#output, 0, -this.#rl.getCursorPos().rows);
    cursorTo(this.#output, 0);
    clearScreenDown(this.#output);
    this.#rl.close();
  }

  #redraw(): void {
    // readline remembers how many rows the cursor was below the prompt; it is on its first row now.
    (this.#rl as Interface & { prevRows?: number }).prevRows = 0;
    this.#rl.prompt(true);
  }
}
