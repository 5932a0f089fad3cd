import { call } from './client.ts';
import type { Answer } from './client.ts';
import type { Gateway } from './gateway.ts';

export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
export const TERMINAL = { client_id: 'sluice-cli' };

/** The codes of a terminal that waits. */
export interface Codes {
  device: string;
  user: string;
}

/** Status and code of a refusal. */
export function outcomeOf(answer: Answer): unknown[] {
  return [answer.status, answer.body['error'] ?? answer.body['code']];
}

/** A terminal at its gateway, and the page where a person decides. */
export interface TerminalAndPage {
  request(more?: Record<string, string>): Promise<Answer>;
  codes(more?: Record<string, string>): Promise<Codes>;
  poll(asked: Pick<Codes, 'device'>): Promise<Answer>;
  /** As a terminal that keeps the pace. */
  pollInTime(asked: Codes): Promise<Answer>;
  look(code: string, bearer: string): Promise<Answer>;
  decide(code: string, bearer: string, approve?: boolean): Promise<Answer>;
}

export function createTerminal(gateway: Gateway): TerminalAndPage {
  const request = (more: Record<string, string> = {}): Promise<Answer> =>
    call(gateway, '/oauth/device_authorization', { form: { ...TERMINAL, ...more } });
  const poll = ({ device }: Pick<Codes, 'device'>): Promise<Answer> =>
    call(gateway, '/oauth/token', {
      form: { grant_type: DEVICE_GRANT, device_code: device, ...TERMINAL },
    });
  return {
    request,
    poll,
    async codes(more) {
      const { body } = await request(more);
      return { device: String(body['device_code']), user: String(body['user_code']) };
    },
    pollInTime(asked) {
      gateway.clock.advance(5_000);
      return poll(asked);
    },
    look: (code, bearer) => call(gateway, `/api/device/${encodeURIComponent(code)}`, { bearer }),
    decide: (code, bearer, approve = true) =>
      call(gateway, '/api/device/decide', { json: { user_code: code, approve }, bearer }),
  };
}
