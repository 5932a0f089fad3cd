import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';

/** The gateway's figures for Prometheus; one registry an app, so that several can live in one process. */
export interface Metrics {
  registry: Registry;
  syncSockets: Gauge;
  pushes: Counter;
  refusals: Counter<'code'>;
  slowConsumers: Counter;
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
  };
}
