import { BlockList, isIP } from 'node:net';
import { groupsOf, normalizeAddress } from './addresses.ts';

/** Whether the text is an address or a CIDR block of IPv4 or IPv6. */
export function isAddressBlock(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0 || address.includes('%')) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128));
}

/** Creates the check for a stored list; an empty list lets every address in. */
export function createAddressCheck(entries: readonly string[]): (address: string | undefined) => boolean {
  if (entries.length === 0) return () => true;
  const list = new BlockList();
  for (const entry of entries) addEntry(list, entry);
  return (address) => {
    if (address === undefined) return false;
    const plain = normalizeAddress(address);
    const family = isIP(plain);
    return family !== 0 && list.check(plain, family === 4 ? 'ipv4' : 'ipv6');
  };
}

/**
 * An address or a block in its one form: the bits that do not count are zero, IPv4 mapped into IPv6 is IPv4, a single address
 * is a block of one. What it stands for stays the same.
 */
export function networkIn(entry: string): string {
  const { address, bits, family } = parseEntry(entry);
  const width = family === 'ipv4' ? 32 : 128;
  const groups = family === 'ipv4' ? address.split('.').map(Number) : groupsOf(address);
  const size = width / groups.length;
  const masked = groups.map((group, i) => {
    const kept = Math.min(size, Math.max(0, bits - i * size));
    return group & ~(2 ** (size - kept) - 1);
  });
  if (family === 'ipv4') return `${masked.join('.')}/${bits}`;
  // the URL parser writes IPv6 as RFC 5952 asks
  const host = new URL(`http://[${masked.map((group) => group.toString(16)).join(':')}]`).hostname;
  return `${host.slice(1, -1)}/${bits}`;
}

function addEntry(list: BlockList, entry: string): void {
  const { address, bits, family } = parseEntry(entry);
  list.addSubnet(address, bits, family);
}

function parseEntry(entry: string): { address: string; bits: number; family: 'ipv4' | 'ipv6' } {
  const [written = '', prefix] = entry.split('/');
  const address = normalizeAddress(written);
  const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
  if (prefix === undefined) return { address, bits: family === 'ipv4' ? 32 : 128, family };
  // a mapped block such as ::ffff:10.0.0.0/104 counts its prefix from the IPv6 form
  return { address, bits: address === written ? Number(prefix) : Math.max(0, Number(prefix) - 96), family };
}
