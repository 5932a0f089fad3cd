import type { Mutation } from '../../protocol/sync.ts';
import { gatewayKind } from './config.ts';
import { startFakeGateway } from './fake/gateway.ts';
import { startRealGateway } from './real/gateway.ts';

/** What the tests of the page need from the gateway under test. */
export interface GatewayUnderTest {
  /** Serves the built page and everything it talks to. */
  url: string;
  /** The six digits last mailed to an address; `but`: not these, which were read before. */
  codeFor(email: string, but?: string): Promise<string>;
  /** The link of the invitation last mailed to an address. */
  inviteFor(email: string): Promise<string>;
  /** Lets an hour pass since a person last proved who they are. */
  age(username: string): Promise<void>;
  /** Lets a person see every branch. */
  grant(username: string): Promise<void>;
  /** Lets a person register branches and give rights. */
  makeAdmin(username: string): Promise<void>;
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
