import type { Report } from './report.ts';
import type { RunningSide } from './start-side.ts';

/** What every measurement is given. */
export interface Run {
  gateway: RunningSide;
  bare: RunningSide;
  /** The bare prototype of the gateway's own path. */
  prototype: RunningSide;
  databaseUrl: string;
  /** Length of one round on one side. */
  seconds: number;
  rounds: number;
  log: (line: string) => void;
}

/** One measurement: the metrics it yields. */
export type Measurement = (run: Run) => Promise<Report>;
