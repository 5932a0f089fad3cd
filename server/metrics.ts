import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/** The gateway's figures for Prometheus; one registry an app, so that several can live in one process. */
export interface Metrics {
  registry: Registry;
  syncSockets: Gauge;
  pushes: Counter;
  refusals: Counter<'code'>;
  slowConsumers: Counter;
  /** From the end of a session to the close of its sockets, by how this node heard of it: `here`, `hint` or `poll`. */
  revokeDisconnect: Histogram<'heard'>;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    syncSockets: new Gauge({ name: 'sluice_sync_sockets', help: 'Open sockets on /sync.', registers }),
    pushes: new Counter({ name: 'sluice_pushes_total', help: 'Batches that got a verdict.', registers }),
    refusals: new Counter({
      name: 'sluice_refusals_total',
      help: 'Events refused without a verdict, by code.',
      labelNames: ['code'],
      registers,
    }),
    slowConsumers: new Counter({
      name: 'sluice_slow_consumers_total',
      help: 'Connections closed because their reader stalled.',
      registers,
    }),
    revokeDisconnect: new Histogram({
      name: 'sluice_revoke_disconnect_seconds',
      help: "From the end of a session to the close of its sockets on this node, by the database's clock.",
      labelNames: ['heard'],
      // what is promised: 1 s on the same node, 2 s across nodes, 10 s with the hints down
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10],
      registers,
    }),
  };
}
