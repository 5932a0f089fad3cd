import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Sync } from './sync.ts';

/** What the sync core keeps in memory, in the app's registry: looked at when it is asked for. */
export function showTenants(registry: Registry, sync: Pick<Sync, 'tenants'>): void {
  const show = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  show('sluice_tenants_followed', 'Tenants whose log this node follows.', () => sync.tenants.followed);
  show('sluice_tenants_written', 'Tenants with a writer on this node.', () => sync.tenants.written);
}
