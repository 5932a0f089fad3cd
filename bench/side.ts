/** One of the two servers that are compared, running in a process of its own. */
export interface Side {
  url: string;
  /** Access tokens for this many installations. */
  issueTokens(count: number): Promise<string[]>;
  /** Registers as many OAuth clients. */
  registerClients(count: number): Promise<BenchClient[]>;
  /** Creates as many people, verified; all have BENCH_PASSWORD. Returns their usernames. */
  createPeople(count: number): Promise<string[]>;
  close(): Promise<void>;
}

export interface BenchClient {
  clientId: string;
  clientSecret: string;
}

export const BENCH_PASSWORD = 'quiet harbour 48 lanterns';

export type SideName = 'gateway' | 'bare' | 'prototype';

/** What the parent asks of a side's process, and what it answers. */
export type SideRequest =
  | { id: number; ask: 'tokens'; count: number }
  | { id: number; ask: 'clients'; count: number }
  | { id: number; ask: 'people'; count: number }
  | { id: number; ask: 'rss' }
  | { id: number; ask: 'watch' }
  | { id: number; ask: 'peak' }
  | { id: number; ask: 'close' };

export interface SideResult {
  tokens?: string[];
  clients?: BenchClient[];
  people?: string[];
  rss?: number;
  peak?: number;
}

export type SideAnswer = { id: 0; ready: string } | ({ id: number } & SideResult);
