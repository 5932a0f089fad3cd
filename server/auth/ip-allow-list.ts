import { BlockList, isIP } from 'node:net';

/** Strips the IPv4-mapped form, so that `::ffff:10.0.0.1` and `10.0.0.1` are the same address (S47). */
export function normalizeAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  return mapped?.[1] ?? address;
}

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

function addEntry(list: BlockList, entry: string): void {
  const [address = '', prefix] = entry.split('/');
  const plain = normalizeAddress(address);
  const family = isIP(plain) === 4 ? 'ipv4' : 'ipv6';
  if (prefix === undefined) list.addAddress(plain, family);
  // a mapped block such as ::ffff:10.0.0.0/104 counts its prefix from the IPv6 form
  else list.addSubnet(plain, plain === address ? Number(prefix) : Math.max(0, Number(prefix) - 96), family);
}
