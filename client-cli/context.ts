import type { Readable, Writable } from 'node:stream';
import type { Clock, Connect, Fetch, Session } from '../sdk/index.ts';
import type { Environment } from './config.ts';
import type { Theme } from './terminal-text.ts';

/** A stream to read from, perhaps a terminal. */
export type Input = Readable & { isTTY?: boolean };

/** A stream to write to; a terminal has a size. */
export type Output = Writable & { isTTY?: boolean; columns?: number; rows?: number };

/** What the process gives to the program: everything that tests replace. */
export interface Host {
  input: Input;
  output: Output;
  errors: Output;
  environment: Environment;
  clock: Clock;
  /** Aborted by Ctrl-C and SIGTERM: long commands end. */
  signal: AbortSignal;
  fetch?: Fetch;
  connect?: Connect;
}

/** What a command works with. */
export interface Context extends Host {
  /** Base URL of the gateway. */
  url: string;
  json: boolean;
  theme: Theme;
  session: Session;
  /** One line of text on the standard output. */
  print(line: string): void;
  /** Remarks beside the result: on the error output, and not with --json. */
  remark(line: string): void;
  /** The JSON form of the result, one line. */
  emit(value: unknown): void;
}
