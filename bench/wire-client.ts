import { WebSocket } from 'ws';
import { readPacket, writeEvent } from './packets.ts';

/**
 * A Socket.IO client reduced to what a load generator needs, the same for both sides: with socket.io-client the
 * generator would be the bottleneck of the fan-out, and its cost would flatter every ratio.
 */
export interface WireClient {
  /** Sends an event whose body is already encoded. */
  send(event: string, json: string): void;
  /** Sends an event and resolves with the acknowledgement's first argument. */
  request<T>(event: string, json: string): Promise<T>;
  /** Acknowledges an event the server asked to have acknowledged. */
  answer(id: string): void;
  /** Hears every event's raw frame. */
  onFrame: (frame: Buffer) => void;
  readonly closed: boolean;
  /** Called when the server has closed it. */
  onClose: () => void;
  close(): void;
}

export const NAMESPACE = '/sync';

/** Connects and joins the namespace. Throws when it is refused or takes longer than 20 s. */
export async function connectWire(url: string, auth: Record<string, unknown>): Promise<WireClient> {
  const target = `${url.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`;
  const ws = new WebSocket(target, { perMessageDeflate: false, skipUTF8Validation: true });
  const acks = new Map<number, { resolve: (body: unknown) => void; reject: (error: Error) => void }>();
  let nextId = 0;
  let closed = false;
  const client: WireClient = {
    send: (event, json) => ws.send(writeEvent(NAMESPACE, event, json)),
    request: <T>(event: string, json: string) =>
      new Promise<T>((resolve, reject) => {
        if (closed) {
          reject(new Error('the connection is closed'));
          return;
        }
        const id = nextId++;
        acks.set(id, { resolve: resolve as (body: unknown) => void, reject });
        ws.send(writeEvent(NAMESPACE, event, json, id));
      }),
    answer: (id) => ws.send(`43${NAMESPACE},${id}[]`),
    onFrame: () => undefined,
    onClose: () => undefined,
    get closed() {
      return closed;
    },
    close: () => ws.close(),
  };
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no connection within 20 s')), 20_000);
    ws.on('error', reject);
    ws.on('close', () => {
      closed = true;
      client.onClose();
      clearTimeout(timer);
      const error = new Error('the connection was closed');
      reject(error);
      for (const ack of acks.values()) ack.reject(error);
      acks.clear();
    });
    ws.on('message', (data: Buffer) => {
      if (isEvent(data)) {
        client.onFrame(data);
        return;
      }
      const packet = readPacket(data.toString());
      if (packet.kind === 'open') ws.send(`40${NAMESPACE},${JSON.stringify(auth)}`);
      else if (packet.kind === 'ping') ws.send('3');
      else if (packet.kind === 'refused') reject(new Error(`refused: ${packet.body}`));
      else if (packet.kind === 'connected') {
        clearTimeout(timer);
        resolve();
      } else if (packet.kind === 'ack') {
        const [body] = JSON.parse(packet.body) as unknown[];
        acks.get(packet.id)?.resolve(body);
        acks.delete(packet.id);
      }
    });
  });
  return client;
}

function isEvent(data: Buffer): boolean {
  return data[0] === 0x34 && data[1] === 0x32;
}
