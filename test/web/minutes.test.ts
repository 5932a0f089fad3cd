import { expect } from 'chai';
import type { LinkState, StoredRecord, SyncClient } from '../../sdk/index.ts';
import type { Change } from '../../protocol/sync.ts';
import { createMinuteCounts, parseDated, type MinuteCounts } from '../../web/src/model/minutes.ts';
import { createRecords, type Records } from '../../web/src/model/records.ts';

const MINUTE = 60_000;

describe('web: the count of the last hour', () => {
  const now = Date.UTC(2026, 10, 20, 11, 42, 30);
  const create = (saved: string | null): MinuteCounts => createMinuteCounts({ saved, now: () => now });

  it('counts what it heard by when the gateway took it, and nothing that it did not hear', () => {
    const minutes = create(null);
    minutes.begin(now - 5 * MINUTE, 10);
    minutes.known(10, null);
    minutes.heard(11, now - MINUTE);
    minutes.heard(12, now);
    const { counts, whole, since, dated } = minutes.series();
    expect(counts.slice(-2)).to.deep.equal([1, 1]);
    expect(counts.reduce((sum, count) => sum + count, 0)).to.equal(2);
    expect({ whole, since, dated }).to.deep.equal({ whole: false, since: now - 5 * MINUTE, dated: 0 });
  });

  it('counts an invoice once, whether a snapshot or a change told of it first', () => {
    const minutes = create(null);
    minutes.begin(now, 10);
    minutes.known(9, now - 2 * MINUTE);
    minutes.heard(9, now);
    minutes.known(11, now - 2 * MINUTE);
    minutes.heard(11, now);
    const { counts, dated } = minutes.series();
    expect([counts.at(-1), counts.at(-3), dated]).to.deep.equal([1, 1, 1]);
  });

  it('goes on after a reload, and starts anew where listening began anew', () => {
    const first = create(null);
    first.begin(now - 90 * MINUTE, 10);
    first.heard(11, now);
    const second = create(first.save());
    second.known(11, now);
    second.heard(12, now);
    expect(second.series()).to.include({ whole: true, dated: 0 });
    expect(second.series().counts.at(-1)).to.equal(2);
    second.begin(now, 12);
    expect(second.series()).to.include({ whole: false, since: now });
    expect(second.series().counts.at(-1)).to.equal(0);
  });

  it('takes nothing from a storage that others have written to', () => {
    for (const saved of ['', '[[1,2]]', '{"since":1}', '{"since":"1","above":2,"counts":[]}'])
      expect(create(saved).begun(), saved).to.equal(false);
    const odd = create(`{"since":1,"above":2,"counts":[["x",1],[${Math.floor(now / MINUTE)},3]]}`);
    expect(odd.series().counts.at(-1)).to.equal(3);
  });

  it('believes an invoice its time only with its time zone', () => {
    expect(parseDated('2026-11-20T11:42:00Z')).to.equal(Date.UTC(2026, 10, 20, 11, 42));
    expect(parseDated('2026-11-20 11:42:00.250+01:00')).to.equal(Date.UTC(2026, 10, 20, 10, 42, 0, 250));
    for (const date of ['2026-11-20', '2026-11-20 11:42:00', '2026-11-20T11:42', '2026-99-99T00:00Z', 'x'])
      expect(parseDated(date), date).to.equal(null);
  });
});

describe('web: a browser whose clock is wrong', () => {
  const HOUR = 60 * MINUTE;
  const server = Date.UTC(2026, 10, 20, 11, 42, 30);
  // There is no frame to wait for here.
  before(() => Object.assign(globalThis, { requestAnimationFrame: () => 0 }));
  after(() => Reflect.deleteProperty(globalThis, 'requestAnimationFrame'));

  for (const [name, off] of [
    ['two hours ahead', 2 * HOUR],
    ['a day behind', -24 * HOUR],
  ] as const) {
    it(`${name} counts by the gateway's time`, () => {
      const { records, say, take } = startRecords(() => server + off);
      say({ name: 'connecting', attempt: 0 });
      say({ name: 'live', attempt: 0, head: 10, serverTime: new Date(server).toISOString() });
      take(11, server - MINUTE);
      take(12, server);
      const { counts, since, times } = records.minutes.series();
      expect(counts.slice(-2)).to.deep.equal([1, 1]);
      expect({ since, last: times.at(-1) }).to.deep.equal({
        since: server,
        last: Math.floor(server / MINUTE) * 60,
      });
    });
  }

  it('is found out when a snapshot begins, and not anew when it ends', () => {
    let late = 0;
    const { records, say } = startRecords(() => server + late);
    const hello = { attempt: 0, head: 10, serverTime: new Date(server).toISOString() };
    say({ name: 'connecting', attempt: 0 });
    say({ name: 'snapshot', received: 0, ...hello });
    late = 3 * MINUTE;
    say({ name: 'live', ...hello });
    expect(records.minutes.series().times.at(-1)).to.equal(Math.floor((server + late) / MINUTE) * 60);
  });

  it('is known at the next visit, before the gateway has been reached', () => {
    const first = startRecords(() => server + 2 * HOUR);
    first.say({ name: 'connecting', attempt: 0 });
    first.say({ name: 'live', attempt: 0, head: 10, serverTime: new Date(server).toISOString() });
    first.take(11, server);
    const second = startRecords(() => server + 2 * HOUR, first.records.save());
    expect(second.records.minutes.series().counts.at(-1)).to.equal(1);
  });

  it('a time of the gateway that is none is no reason to count elsewhere', () => {
    const { records, say } = startRecords(() => server);
    say({ name: 'connecting', attempt: 0 });
    say({ name: 'live', attempt: 0, head: 10, serverTime: '' });
    expect(records.minutes.series().since).to.equal(server);
  });
});

interface Started {
  records: Records;
  say: (state: LinkState) => void;
  /** The gateway tells of an invoice that it took at `at`. */
  take: (version: number, at: number) => void;
}

function startRecords(now: () => number, saved: string | null = null): Started {
  const listeners = new Map<string, (body: unknown) => void>();
  const client = {
    state: { name: 'idle' },
    on(event: string, listener: (body: unknown) => void) {
      listeners.set(event, listener);
      return () => undefined;
    },
    replica: { list: (): Promise<StoredRecord[]> => Promise.resolve([]) },
  } as unknown as SyncClient;
  const emit = (event: string, body: unknown): void => listeners.get(event)?.(body);
  return {
    records: createRecords({ client, saved, now }),
    say: (state) => emit('state', state),
    take(version, at) {
      const change: Partial<Change> = { collection: 'fatura', id: `branch-1/${version}`, op: 'put', version };
      const rest = { partition: 'branch-1', recordVersion: version, at: new Date(at).toISOString() };
      emit('changes', { changes: [{ ...change, ...rest, data: { number: `${version}` } }], more: false });
    },
  };
}
