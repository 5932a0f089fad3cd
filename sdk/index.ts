import type {
  ChatClient,
  ChatClientOptions,
  MachineSession,
  MachineSessionOptions,
  Session,
  SessionOptions,
  SyncClient,
  SyncClientOptions,
} from './types.ts';
import type { Store, StoreOptions } from './store.ts';

/** The client engine: safe in browsers. The SQLite store for Node is `sdk/file-store.ts`. */

export { ApiError, ConnectRefused, SluiceError } from './errors.ts';
export type { ApiErrorDetails, SluiceErrorCode } from './errors.ts';
export type { LinkState } from './state.ts';
export type * from './store.ts';
export type * from './types.ts';

// The signatures; each is replaced by its implementation as it lands.
export declare function createSession(options: SessionOptions): Session;
export declare function createMachineSession(options: MachineSessionOptions): MachineSession;
export declare function createSyncClient(options: SyncClientOptions): SyncClient;
export declare function createChatClient(options: ChatClientOptions): ChatClient;
export declare function createMemoryStore(options?: StoreOptions): Store;
export declare function createIndexedDbStore(name: string, options?: StoreOptions): Store;
