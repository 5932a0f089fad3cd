import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/**
 * A TCP proxy between the agents and the gateway that makes a bad network: it cuts connections at any byte, and sends
 * some of the clients' WebSocket messages twice (RFC 6455 frames are self-contained, so a copy is a valid message).
 */
export interface BadNetwork {
  url: string;
  /** Resets every open connection. Returns how many there were. */
  cut(): number;
  /** Messages sent twice so far. */
  readonly doubled: number;
  close(): Promise<void>;
}

export interface BadNetworkOptions {
  targetPort: number;
  /** In [0, 1). */
  random: () => number;
  /** Share of the clients' messages that are sent twice. */
  doubleShare: number;
}

export async function startBadNetwork(options: BadNetworkOptions): Promise<BadNetwork> {
  const open = new Set<Socket>();
  let doubled = 0;
  // the first one always, so that it has happened however few there are
  const doubles = (): boolean => {
    const isDoubled = options.random() < options.doubleShare || doubled === 0;
    if (isDoubled) doubled += 1;
    return isDoubled;
  };
  const server = createServer((client) => {
    const upstream = connect(options.targetPort, '127.0.0.1');
    open.add(client);
    const end = (): void => {
      open.delete(client);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end).setNoDelay(true);
    const repeat = createRepeater(doubles);
    client.on('data', (chunk) => repeat(chunk).forEach((piece) => upstream.write(piece)));
    upstream.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut() {
      const count = open.size;
      for (const socket of [...open]) socket.resetAndDestroy();
      return count;
    },
    get doubled() {
      return doubled;
    },
    async close() {
      for (const socket of [...open]) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const TEXT_FRAME = 0x81;
const MAX_FRAME = 4 * 1024 * 1024;

/** Reads one direction of a connection; after the HTTP upgrade, text frames that push a batch are sometimes repeated. */
function createRepeater(doubles: () => boolean): (chunk: Buffer) => Buffer[] {
  let upgraded = false;
  let buffer: Buffer = Buffer.alloc(0);
  return (chunk) => {
    buffer = Buffer.concat([buffer, chunk]);
    const pieces: Buffer[] = [];
    if (!upgraded) {
      const end = buffer.indexOf('\r\n\r\n');
      if (end < 0) return pieces;
      // anything that is no upgrade is passed on as it is, for good
      if (!/^upgrade: *websocket/im.test(buffer.subarray(0, end).toString('latin1'))) {
        const whole = buffer;
        buffer = Buffer.alloc(0);
        return [whole];
      }
      upgraded = true;
      pieces.push(buffer.subarray(0, end + 4));
      buffer = buffer.subarray(end + 4);
    }
    for (
      let length = frameLength(buffer);
      length > 0 && length <= buffer.length;
      length = frameLength(buffer)
    ) {
      const frame = buffer.subarray(0, length);
      buffer = buffer.subarray(length);
      pieces.push(frame);
      if (isPush(frame) && doubles()) {
        pieces.push(frame);
      }
    }
    return pieces;
  };
}

/** Length of the frame at the start of the buffer; 0 when its header is not there yet. */
function frameLength(buffer: Buffer): number {
  const second = buffer[1];
  if (second === undefined) return 0;
  const mask = (second & 0x80) === 0 ? 0 : 4;
  const short = second & 0x7f;
  if (short < 126) return 2 + mask + short;
  if (short === 126) return buffer.length < 4 ? 0 : 4 + mask + buffer.readUInt16BE(2);
  return buffer.length < 10 ? 0 : Math.min(10 + mask + Number(buffer.readBigUInt64BE(2)), MAX_FRAME);
}

/** Whether a client's frame is one whole message with a push in it: a copy of it is a batch delivered twice. */
function isPush(frame: Buffer): boolean {
  if (frame[0] !== TEXT_FRAME) return false;
  const second = frame[1] ?? 0;
  const offset = { 126: 4, 127: 10 }[second & 0x7f] ?? 2;
  const mask = frame.subarray(offset, offset + 4);
  const start = Buffer.from(frame.subarray(offset + 4, offset + 60));
  for (let i = 0; i < start.length; i += 1) start[i] = (start[i] ?? 0) ^ (mask[i & 3] ?? 0);
  return start.includes('"sync:push"');
}
