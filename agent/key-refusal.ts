import { z } from 'zod';
import type { AgentConfig } from './config.ts';

/** The gateway refuses a client that proves itself by a key without saying why. What can be seen from here, in words. */

const metadata = z.looseObject({ issuer: z.url() });
const TIMEOUT_MS = 5_000;
/** A clock that is wrong by more than this makes assertions that have expired, or lie too far ahead. */
const SKEW_MS = 120_000;

export async function explainKeyRefusal(
  config: Pick<AgentConfig, 'gateway' | 'credential'>,
  now: () => number = Date.now,
): Promise<string[]> {
  const { gateway, credential } = config;
  if ('clientSecret' in credential) return [];
  const seen = await look(gateway).catch(() => undefined);
  const reasons = seen
    ? [...addressFault(gateway, credential.audience, seen), ...clockFault(seen, now())]
    : [];
  if (reasons.length > 0) return reasons;
  return [
    'is the public half of this key registered for this clientId? openssl pkey -in KEY -pubout writes it, sluice admin clients create --jwks registers it; an RSA key is registered for PS256, unless it is a JWK with its alg',
  ];
}

interface Seen {
  issuer: string;
  /** The gateway's clock, epoch ms; NaN: it does not say. */
  date: number;
}

async function look(gateway: string): Promise<Seen> {
  const url = `${trimmed(gateway)}/.well-known/oauth-authorization-server`;
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  const { issuer } = metadata.parse(await response.json());
  return { issuer: trimmed(issuer), date: Date.parse(response.headers.get('date') ?? '') };
}

/** What is signed names the gateway as it calls itself. */
function addressFault(gateway: string, audience: string | undefined, { issuer }: Seen): string[] {
  const named = trimmed(audience ?? gateway).replace(/\/oauth\/token$/, '');
  if (named === issuer) return [];
  return [
    `the gateway calls itself ${issuer}, and what is signed here is for ${named}: if that is your gateway, set "audience": "${issuer}"`,
  ];
}

function clockFault({ date }: Seen, now: number): string[] {
  const off = now - date;
  if (Number.isNaN(off) || Math.abs(off) <= SKEW_MS) return [];
  const seconds = Math.round(Math.abs(off) / 1_000);
  return [
    `the clock of this machine is ${seconds} s ${off > 0 ? 'ahead of' : 'behind'} the gateway's: set it`,
  ];
}

const trimmed = (url: string): string => url.replace(/\/+$/, '');
