import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A TCP relay that can be shut: the gateway behind it lives on, but nobody gets through. */
export interface Valve {
  url: string;
  open: (port: number) => void;
  close: () => Promise<void>;
  /** For good. */
  end: () => Promise<void>;
}

export async function startValve(): Promise<Valve> {
  const sockets = new Set<Socket>();
  let target: number | undefined;
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    // A reset connection is what a shut valve is for.
    return socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket));
  };
  const server = createServer((inner) => {
    keep(inner);
    if (target === undefined) {
      inner.destroy();
      return;
    }
    const outer = keep(connect(target, '127.0.0.1'));
    inner.pipe(outer).pipe(inner);
    inner.on('close', () => outer.destroy());
    outer.on('close', () => inner.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    target = undefined;
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    open(port) {
      target = port;
    },
    close() {
      cut();
      return Promise.resolve();
    },
    end() {
      cut();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
