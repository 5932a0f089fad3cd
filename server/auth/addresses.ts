import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/**
 * The caller's address: the connection's, or where a proxy is trusted the last that was forwarded, which that proxy wrote. What it
 * wrote there and is no address counts as the proxy's own, and is in no list of addresses: `via 10.0.0.1` (S47).
 */
export function callerAddress(connection: string, forwarded: string | undefined): string {
  const nearest = forwarded?.split(',').at(-1)?.trim() ?? '';
  if (nearest === '') return normalizeAddress(connection);
  const plain = withoutPort(nearest);
  return isIP(plain) === 0 ? `via ${normalizeAddress(connection)}` : normalizeAddress(plain);
}

/** What proxies say of where a request comes from. */
export function forwardedIn({ headers }: Pick<IncomingMessage, 'headers'>): string | undefined {
  const forwarded = headers['x-forwarded-for'];
  return Array.isArray(forwarded) ? forwarded.join(',') : forwarded;
}

/** Some proxies write the port as well: `203.0.113.9:443`, `[2001:db8::1]:443`, also in quotes. */
function withoutPort(written: string): string {
  const [, inBrackets, ipv4] =
    /^"?(?:\[([\da-f:.]+(?:%\w+)?)\](?::\d+)?|([\d.]+):\d+)"?$/i.exec(written) ?? [];
  return inBrackets ?? ipv4 ?? written;
}

/** An address as it is kept and compared: IPv4 mapped into IPv6 is IPv4, however it is written; no zone is told (S47). */
export function normalizeAddress(address: string): string {
  const groups = address.includes(':') ? findGroups(address) : undefined;
  if (!groups) return address;
  return findMapped(groups) ?? address.split('%')[0] ?? address;
}

/**
 * What an address is counted by. Whoever has one IPv6 address has the 2^64 of its network, and can come from each of
 * them; an IPv4 address counts alone.
 */
export function networkOf(address: string): string {
  const groups = address.includes(':') ? findGroups(address) : undefined;
  if (!groups) return address;
  return findMapped(groups) ?? `${groups.slice(0, 4).map(toHex).join(':')}::/64`;
}

/** The eight groups of an IPv6 address. Throws when it is none. */
export function groupsOf(address: string): number[] {
  const groups = findGroups(address);
  if (!groups) throw new Error('no IPv6 address');
  return groups;
}

/** The eight groups of an IPv6 address. */
function findGroups(address: string): number[] | undefined {
  if (isIP(address) !== 6) return undefined;
  const [text = ''] = address.split('%');
  const [left = [], right = []] = text.split('::').map(toGroups);
  return [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
}

function toGroups(text: string): number[] {
  return text
    .split(':')
    .filter(Boolean)
    .flatMap((part) => {
      if (!part.includes('.')) return [Number.parseInt(part, 16)];
      const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number);
      return [a * 256 + b, c * 256 + d];
    });
}

function findMapped(groups: readonly number[]): string | undefined {
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (!isMapped) return undefined;
  return groups
    .slice(6)
    .flatMap((group) => [group >> 8, group & 255])
    .join('.');
}

function toHex(group: number): string {
  return group.toString(16);
}
