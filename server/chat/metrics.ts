import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';

/** Chat's own figures, in the app's registry. */
export interface ChatMetrics {
  sockets: Gauge;
  messages: Counter;
}

export function createChatMetrics(registry: Registry): ChatMetrics {
  const registers = [registry];
  return {
    sockets: new Gauge({ name: 'sluice_chat_sockets', help: 'Authenticated sockets on /.', registers }),
    messages: new Counter({
      name: 'sluice_chat_messages_total',
      help: 'Messages acknowledged here.',
      registers,
    }),
  };
}
