/** The client engine: safe in browsers. The SQLite store for Node is `sdk/file-store.ts`. */

export { createChatClient } from './chat-client.ts';
export { ApiError, ConnectRefused, SluiceError } from './errors.ts';
export type { ApiErrorDetails, SluiceErrorCode } from './errors.ts';
export { createIndexedDbStore } from './indexeddb-store.ts';
export { createMachineSession } from './machine-session.ts';
export { createMemoryStore } from './memory-store.ts';
export { createSession } from './session.ts';
export type { LinkState } from './state.ts';
export type * from './store.ts';
export { createSyncClient } from './sync-client.ts';
export type * from './types.ts';
