import { networkInterfaces } from 'node:os';
import type { Config } from './config.ts';
import { isAddressGiven } from './origins.ts';

/**
 * What to set when other machines may come and nobody said by what address: mails, tokens and passkeys would name one
 * that is good on this machine alone. Undefined: there is nothing to say.
 */
export function addressAdvice(
  config: Config,
  listeningUrl: string,
  addressHere: () => string | undefined = findAddress,
): string | undefined {
  const { HOST, ROLE } = config;
  if (isAddressGiven(config) || isLoopback(HOST)) return undefined;
  const isAny = ['0.0.0.0', '::'].includes(HOST);
  const { port } = new URL(listeningUrl);
  const host = isAny ? (addressHere() ?? 'ADDRESS') : HOST;
  const name = ROLE === 'auth' ? 'AUTH_URL' : 'PUBLIC_URL';
  const bracketed = host.includes(':') ? `[${host}]` : host;
  const likely = `${name}=http://${bracketed}${port === '' ? '' : `:${port}`}`;
  const why = isAny ? `mails and tokens name ${listeningUrl}` : 'its address is only guessed';
  return `other machines can reach it (HOST=${HOST}) and ${name} is not set: ${why}. Set ${likely}, or the https:// address of the proxy before it (docs/OPERATIONS.md, "Reached from other machines")`;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}

/** The first address of this machine that others may know it by. */
function findAddress(): string | undefined {
  const all = Object.values(networkInterfaces()).flatMap((some) => some ?? []);
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
}
