/** Why a gateway was not reached, and what to look at: fetch itself says "fetch failed" alone. */

const REASONS: [codes: RegExp, text: string][] = [
  [/^ECONNREFUSED$/, 'nothing listens there: does the gateway run, and is the port right?'],
  [/^(ENOTFOUND|EAI_AGAIN)$/, 'no machine of that name is found (DNS)'],
  [/^(EHOSTUNREACH|ENETUNREACH)$/, 'there is no way to that address from here'],
  [/TIMEDOUT|TIMEOUT|^TimeoutError$/i, 'no answer: is the address right, or a firewall in between?'],
  [
    /SSL_WRONG_VERSION|SSL_PACKET_LENGTH|^EPROTO$/,
    'that port does not speak TLS: is it http:// instead of https://?',
  ],
  [
    /CERT|SELF_SIGNED|UNABLE_TO_|ISSUER/,
    'its certificate is not trusted here: for an authority of your own set NODE_EXTRA_CA_CERTS to its file',
  ],
  [
    /^(ECONNRESET|UND_ERR_SOCKET|HPE_)/,
    'the connection was broken off: does that port want https:// instead of http://?',
  ],
];

/** Undefined: it says nothing that is known. */
export function explainUnreachable(error: unknown): string | undefined {
  const codes = codesOf(error);
  for (const [pattern, text] of REASONS) {
    const code = codes.find((one) => pattern.test(one));
    if (code !== undefined) return `${text} (${code})`;
  }
  return undefined;
}

function codesOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  const { code } = error as { code?: unknown };
  const inner = [error.cause, ...(error instanceof AggregateError ? (error.errors as unknown[]) : [])];
  return [...inner.flatMap(codesOf), ...(typeof code === 'string' ? [code] : []), error.name];
}

const TIMEOUT_MS = 5_000;

/** Whether anything answers at that address. Undefined: it does. */
export async function findUnreachable(gateway: string): Promise<string | undefined> {
  try {
    const url = `${gateway.replace(/\/+$/, '')}/health/live`;
    await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return undefined;
  } catch (error) {
    return explainUnreachable(error) ?? (error instanceof Error ? error.message : String(error));
  }
}
