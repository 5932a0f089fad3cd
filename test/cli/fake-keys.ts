/** What the fake house answers about API keys and their owners: one of each. */

const OWNER = { id: 'o1', name: 'Web shop', clientType: 'web', isActive: true, apiKeyCount: 1 };
const KEY = {
  ...{ id: 'k1', clientId: 'o1', clientName: 'Web shop', permissions: ['sync:read'], partitions: ['p1'] },
  ...{ prefixes: [{ prefix: 'abcd1234', expiresAt: null }], expiresAt: null, isActive: true },
  ...{ revokedAt: null, lastUsedAt: '2026-11-20T09:00:00.000Z' },
};
const PAGINATION = { page: 1, limit: 100, total: 1, pages: 1 };

export function keysAnswer(
  method: string,
  path: string,
  body: Record<string, unknown>,
): { status?: number; body: Record<string, unknown> } {
  return { body: { success: true, data: dataOf(method, path, body) } };
}

function dataOf(method: string, path: string, body: Record<string, unknown>): Record<string, unknown> {
  if (method === 'GET')
    return path.startsWith('/keys')
      ? { apiKeys: [KEY], pagination: PAGINATION }
      : { clients: [OWNER], pagination: PAGINATION };
  if (path.startsWith('/clients')) return { ...OWNER, ...body };
  if (method === 'POST') return { ...KEY, apiKey: 'slk_1_abcd1234_secret' };
  return { ...KEY, ...body };
}
