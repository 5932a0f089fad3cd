/** One of the two servers that are compared, running in a process of its own. */
export interface Side {
  url: string;
  /** Access tokens for this many installations. */
  issueTokens(count: number): Promise<string[]>;
  close(): Promise<void>;
}

export type SideName = 'gateway' | 'bare' | 'prototype';

/** What the parent asks of a side's process, and what it answers. */
export type SideRequest =
  | { id: number; ask: 'tokens'; count: number }
  | { id: number; ask: 'rss' }
  | { id: number; ask: 'watch' }
  | { id: number; ask: 'peak' }
  | { id: number; ask: 'close' };

export interface SideResult {
  tokens?: string[];
  rss?: number;
  peak?: number;
}

export type SideAnswer = { id: 0; ready: string } | ({ id: number } & SideResult);
