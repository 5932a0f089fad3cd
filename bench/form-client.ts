import { Agent, request } from 'node:http';

export interface Answer {
  status: number;
  body: Record<string, unknown>;
}

export interface FormClient {
  /** Posts a body as it is; resolves with the whole answer. */
  post(path: string, body: string, type?: string): Promise<Answer>;
  close(): void;
}

export const JSON_TYPE = 'application/json';
const FORM_TYPE = 'application/x-www-form-urlencoded';

/** Posts over connections that are kept, with as little of its own as Node allows: `fetch` would cost more than what is measured. */
export function createFormClient(baseUrl: string, connections: number): FormClient {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  return {
    post: (path, body, type = FORM_TYPE) =>
      new Promise((resolve, reject) => {
        const headers = { 'content-type': type, 'content-length': Buffer.byteLength(body) };
        const sent = request(new URL(path, baseUrl), { method: 'POST', agent, headers }, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (part: string) => (text += part));
          response.on('error', reject);
          response.on('end', () => {
            const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
            resolve({ status: response.statusCode ?? 0, body });
          });
        });
        sent.on('error', reject);
        sent.end(body);
      }),
    close: () => agent.destroy(),
  };
}

/** The form of a token request by client credentials. */
export function grantForm(client: { clientId: string; clientSecret: string }): string {
  const { clientId: client_id, clientSecret: client_secret } = client;
  return new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret }).toString();
}
