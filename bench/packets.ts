/** Socket.IO packets over Engine.IO 4, as text: just what the load generator needs to read and write them. */

export type Packet =
  | { kind: 'open' | 'ping' | 'other' }
  | { kind: 'connected'; namespace: string }
  | { kind: 'refused'; body: string }
  | { kind: 'event'; body: string }
  | { kind: 'ack'; id: number; body: string };

/** Reads a packet of one namespace. `body` is the JSON array of an event or acknowledgement, not parsed. */
export function readPacket(text: string): Packet {
  if (text.startsWith('0')) return { kind: 'open' };
  if (text === '2') return { kind: 'ping' };
  const match = /^4([0-5])(?:(\/[^,]*),)?(\d*)/.exec(text);
  if (!match) return { kind: 'other' };
  const [head, type, namespace = '/', id = ''] = match;
  const body = text.slice(head.length);
  if (type === '0') return { kind: 'connected', namespace };
  if (type === '4') return { kind: 'refused', body };
  if (type === '2') return { kind: 'event', body };
  if (type === '3') return { kind: 'ack', id: Number(id), body };
  return { kind: 'other' };
}

/** Writes an event; with `id` the server is asked to acknowledge it. `json` is the encoded body. */
export function writeEvent(namespace: string, event: string, json: string, id?: number): string {
  return `42${namespace},${id ?? ''}[${JSON.stringify(event)},${json}]`;
}

const TO = '"to":"';

/**
 * The `to` cursor of a delta, found in the first bytes of the frame without parsing it: what a thousand subscribers in
 * one process can afford. Undefined for anything that is no delta.
 */
export function findTo(frame: Buffer): string | undefined {
  const head = frame.toString('latin1', 0, 260);
  if (!head.includes('["sync:delta",{"from":"')) return undefined;
  const start = head.indexOf(TO) + TO.length;
  if (start < TO.length) return undefined;
  const end = head.indexOf('"', start);
  return end < 0 ? undefined : head.slice(start, end);
}
