import { call } from './client.ts';
import type { Answer, Call } from './client.ts';
import { dataOf } from './device-suite.ts';
import { ADMIN_KEY, startGateway } from './gateway.ts';
import type { Gateway, GatewayOptions } from './gateway.ts';

export interface Key {
  id: string;
  apiKey: string;
}

export interface KeySuite {
  readonly gateway: Gateway;
  start: (options?: GatewayOptions) => Promise<void>;
  /** Below `/api/v1/admin`, with the admin key unless another is given. */
  admin: (path: string, request?: Call) => Promise<Answer>;
  createOwner: (request?: Call) => Promise<string>;
  /** Makes a key and an owner for it; may read and nothing else unless it is said. */
  create: (settings?: object, request?: Call) => Promise<Answer>;
  createKey: (settings?: object) => Promise<Key>;
  /** Who the key is. */
  use: (key: string, at?: Gateway) => Promise<Answer>;
  update: (id: string, json: object) => Promise<Answer>;
  revoke: (id: string) => Promise<Answer>;
  rotate: (id: string, json?: object) => Promise<Answer>;
}

export function toKey(answer: Answer): Key {
  return { id: String(dataOf(answer)['id']), apiKey: String(dataOf(answer)['apiKey']) };
}

/** A gateway for each test, and what administrators and holders of keys do there. */
export function useApiKeys(): KeySuite {
  let gateway: Gateway;
  afterEach(() => gateway.close());
  const admin: KeySuite['admin'] = (path, request = {}) =>
    call(gateway, `/api/v1/admin${path}`, { key: ADMIN_KEY, ...request });
  const createOwner: KeySuite['createOwner'] = async (request = {}) => {
    const json = { name: 'Shop', clientType: 'web' };
    return String(dataOf(await admin('/clients', { json, ...request }))['id']);
  };
  const create: KeySuite['create'] = async (settings = {}, request = {}) => {
    const clientId = await createOwner(request);
    const json = { clientId, permissions: ['sync:read'], ...settings };
    return admin('/keys/create', { json, ...request });
  };
  return {
    get gateway() {
      return gateway;
    },
    start: async (options = {}) => {
      gateway = await startGateway(options);
    },
    admin,
    createOwner,
    create,
    createKey: async (settings) => toKey(await create(settings)),
    use: (key, at = gateway) => call(at, '/auth/me', { key }),
    update: (id, json) => admin(`/keys/${id}/update`, { method: 'PUT', json }),
    revoke: (id) => admin(`/keys/${id}/revoke`, { method: 'DELETE' }),
    rotate: (id, json = {}) => admin(`/keys/${id}/rotate`, { json }),
  };
}
