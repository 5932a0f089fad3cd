import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** What a proxied connection suffers, on its way down to the client unless said otherwise. */
export interface Weather {
  latencyMs?: number;
  /** Passes bytes on in pieces of at most this size, either way. */
  slice?: number;
  /** Resets the connection when this many bytes have gone through it, either way. */
  resetAfter?: number;
  /** Accepts and swallows everything, either way. */
  blackHole?: boolean;
  /** The client stops reading; what it sends still goes up. */
  stall?: boolean;
  bytesPerSecond?: number;
}

export interface FaultProxy {
  url: string;
  /** For each new connection; what is returned may be changed while it lives. */
  weather: () => Weather;
  resetAll(): void;
  close(): Promise<void>;
}

/** A TCP proxy in front of a gateway that makes bad weather. `target` is asked for at every connection. */
export async function startFaultProxy(target: () => string): Promise<FaultProxy> {
  const open = new Set<Socket>();
  const proxy = { weather: (): Weather => ({}) };
  const server = createServer((client) => {
    const weather = proxy.weather();
    const { hostname, port } = new URL(target());
    const upstream = connect(Number(port), hostname);
    const both = [client, upstream];
    const drop = (): void => both.forEach((socket) => socket.destroyed || socket.resetAndDestroy());
    for (const socket of both) {
      open.add(socket);
      socket.setNoDelay(true);
      socket.on('error', drop);
      socket.on('close', () => {
        open.delete(socket);
        both.forEach((other) => other.destroy());
      });
    }
    const count = createCounter(weather, drop);
    pass(client, upstream, { ...weather, stall: false, bytesPerSecond: 0 }, count);
    passDown(upstream, client, weather, count);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(proxy, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    resetAll: () => open.forEach((socket) => socket.resetAndDestroy()),
    async close() {
      open.forEach((socket) => socket.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

function createCounter({ resetAfter }: Weather, drop: () => void): (chunk: Buffer) => Buffer | null {
  let left = resetAfter ?? Infinity;
  return (chunk) => {
    const passed = chunk.subarray(0, left);
    left -= passed.length;
    if (left <= 0) setImmediate(drop);
    return passed.length > 0 ? passed : null;
  };
}

type Count = (chunk: Buffer) => Buffer | null;

function pass(from: Socket, to: Socket, weather: Weather, count: Count): void {
  from.on('data', (data: Buffer) => {
    if (weather.blackHole === true) return;
    const passed = count(data);
    if (passed) write(to, passed, weather);
  });
}

/** Read only when there is room: what is not read piles up at the gateway, which is the point. */
function passDown(from: Socket, to: Socket, weather: Weather, count: Count): void {
  pass(from, to, weather, count);
  const timer = setInterval(() => {
    if (weather.stall === true) from.pause();
    else if (!weather.bytesPerSecond) from.resume();
  }, 20);
  const { bytesPerSecond } = weather;
  if (bytesPerSecond !== undefined && bytesPerSecond > 0) {
    from.on('data', (data: Buffer) => {
      from.pause();
      setTimeout(() => from.resume(), (data.length / bytesPerSecond) * 1_000).unref();
    });
  }
  from.once('close', () => clearInterval(timer));
}

function write(to: Socket, data: Buffer, { latencyMs = 0, slice = data.length }: Weather): void {
  for (let at = 0; at < data.length; at += slice) {
    const piece = data.subarray(at, at + slice);
    if (latencyMs > 0) setTimeout(() => to.writable && to.write(piece), latencyMs);
    else if (to.writable) to.write(piece);
  }
}
