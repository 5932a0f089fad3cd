import type { Mutation } from '../../protocol/sync.ts';
import { gatewayKind } from './config.ts';
import { startFakeGateway } from './fake/gateway.ts';
import { startRealGateway } from './real/gateway.ts';

/** What the tests of the page need from the gateway under test. */
export interface GatewayUnderTest {
  /** Serves the built page and everything it talks to. */
  url: string;
  /** The six digits last mailed to an address. */
  codeFor(email: string): Promise<string>;
  /** Lets a person see every branch. */
  grant(username: string): Promise<void>;
  /** Ends every session of a person, sockets included. */
  revoke(username: string): Promise<void>;
  /** Commits mutations as the agent of a branch; one call is one batch. */
  push(partition: string, mutations: Mutation[]): Promise<void>;
  /** A message by somebody else. */
  say(room: string, from: string, body: string): Promise<void>;
  /** Drops every socket and lets nobody in until `resume`. */
  interrupt(): Promise<void>;
  resume(): Promise<void>;
  close(): Promise<void>;
}

/** The one place that decides which gateway the page is tried on. */
export function startGateway(): Promise<GatewayUnderTest> {
  return gatewayKind() === 'real' ? startRealGateway() : startFakeGateway();
}
