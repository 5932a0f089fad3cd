import { principalKey } from '../../../server/auth/principal.ts';
import { call } from './client.ts';
import type { Answer, Call } from './client.ts';
import { startGateway } from './gateway.ts';
import type { Gateway, GatewayOptions } from './gateway.ts';

export interface Device {
  id: string;
  access: string;
  refresh: string;
}

export function dataOf(answer: Answer): Record<string, unknown> {
  return answer.body['data'] as Record<string, unknown>;
}

export function codeOf(answer: Answer): unknown[] {
  return [answer.status, answer.body['code']];
}

export function toDevice(answer: Answer): Device {
  const { deviceId, accessToken, refreshToken } = dataOf(answer);
  return { id: String(deviceId), access: String(accessToken), refresh: String(refreshToken) };
}

export interface DeviceSuite {
  readonly gateway: Gateway;
  start: (options?: GatewayOptions) => Promise<void>;
  /** Below `/api/v1/auth`. */
  auth: (path: string, request?: Call) => Promise<Answer>;
  register: (json?: unknown, request?: Call) => Promise<Answer>;
  registered: () => Promise<Device>;
  /** Whether the token is still good: the status. */
  validate: (access: string) => Promise<number>;
  /** A socket as the registry sees it: with what it was closed. */
  openSocket: (access: string) => Promise<string[]>;
}

/** A gateway for each test, and what a device does there. */
export function useDevices(): DeviceSuite {
  let gateway: Gateway;
  afterEach(() => gateway.close());
  const auth: DeviceSuite['auth'] = (path, request = {}) => call(gateway, `/api/v1/auth/${path}`, request);
  const register: DeviceSuite['register'] = (json = {}, request = {}) =>
    auth('device/register', { json, ...request });
  return {
    get gateway() {
      return gateway;
    },
    start: async (options = {}) => {
      gateway = await startGateway(options);
    },
    auth,
    register,
    registered: async () => toDevice(await register()),
    validate: async (access) => (await auth('validate', { method: 'POST', bearer: access })).status,
    openSocket: async (access) => {
      const principal = await gateway.identity.authenticate(access);
      const { sessionId, tenantId } = principal;
      const closed: string[] = [];
      gateway.identity.sockets.register({
        ...{ sessionId, tenantId, principalKey: principalKey(principal) },
        close: (code) => void closed.push(code),
      });
      return closed;
    },
  };
}
