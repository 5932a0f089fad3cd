import { expect } from 'chai';
import fc from 'fast-check';
import { DEFAULT_BACKOFF, refusedDelay, retryDelay } from '../../sdk/backoff.ts';
import type { LinkEvent, LinkState } from '../../sdk/state.ts';
import { IDLE, transition } from '../../sdk/state.ts';

const events: fc.Arbitrary<LinkEvent> = fc.oneof(
  fc.constantFrom<LinkEvent>({ type: 'start' }, { type: 'retry' }, { type: 'reset' }, { type: 'stable' }),
  fc.record({ type: fc.constant('advanced' as const), head: fc.nat() }),
  fc.record({
    type: fc.constant('welcome' as const),
    snapshot: fc.boolean(),
    head: fc.nat(),
    serverTime: fc.constant('t'),
  }),
  fc.record({ type: fc.constant('page' as const), records: fc.nat(100), more: fc.boolean() }),
  fc.record({ type: fc.constant('lost' as const), retryInMs: fc.nat(), error: fc.constant('gone') }),
  fc.record({ type: fc.constant('refuse' as const), code: fc.constant('revoked'), retryInMs: fc.nat() }),
);

const run = (list: readonly LinkEvent[], from: LinkState = IDLE): LinkState => list.reduce(transition, from);
const connected: LinkEvent = { type: 'welcome', snapshot: false, head: 7, serverTime: 't' };

describe('sdk states', () => {
  it('closed is final, whatever happened before and happens after', () => {
    fc.assert(
      fc.property(fc.array(events), fc.array(events), (before, after) => {
        expect(run(after, run([...before, { type: 'close' }]))).to.deep.equal({ name: 'closed' });
      }),
    );
  });

  it('only a welcome leads to live or snapshot, and only from connecting', () => {
    fc.assert(
      fc.property(fc.array(events), events, (before, event) => {
        const from = run(before);
        const to = transition(from, event);
        const up = (state: LinkState): boolean => state.name === 'live' || state.name === 'snapshot';
        if (!up(from) && up(to)) expect([from.name, event.type]).to.deep.equal(['connecting', 'welcome']);
      }),
    );
  });

  it('attempts grow with each loss and fall to 0 only when a connection was stable', () => {
    fc.assert(
      fc.property(fc.array(events), events, (before, event) => {
        const [from, to] = [run(before), transition(run(before), event)];
        if (!('attempt' in from) || !('attempt' in to)) return;
        if (to.attempt < from.attempt) expect(event.type).to.equal('stable');
        if (to.attempt > from.attempt) expect(event.type).to.be.oneOf(['lost', 'refuse']);
      }),
    );
  });

  it('an event that means nothing changes nothing', () => {
    const live = run([{ type: 'start' }, connected]);
    expect(transition(live, { type: 'retry' })).to.equal(live);
    expect(transition(live, { type: 'advanced', head: 3 })).to.equal(live);
    expect(transition(IDLE, { type: 'lost', retryInMs: 1 })).to.equal(IDLE);
  });

  it('counts the records of a snapshot and is live after its last page', () => {
    const page = (more: boolean): LinkEvent => ({ type: 'page', records: 2, more });
    const taking = run([{ type: 'start' }, { ...connected, snapshot: true }, page(true), page(true)]);
    expect(taking).to.include({ name: 'snapshot', received: 4 });
    expect(transition(taking, page(false))).to.include({ name: 'live', head: 7, serverTime: 't' });
  });
});

describe('sdk backoff', () => {
  it('[5.7] full jitter: between 0 and min(cap, base * 2^attempt)', () => {
    fc.assert(
      fc.property(fc.nat(1_000), fc.double({ min: 0, max: 0.999, noNaN: true }), (attempt, random) => {
        const delay = retryDelay(DEFAULT_BACKOFF, () => random, { attempt });
        expect(delay).to.be.within(0, Math.min(30_000, 500 * 2 ** Math.min(attempt, 30)));
      }),
    );
    expect(retryDelay(DEFAULT_BACKOFF, () => 0.5, { attempt: 2 })).to.equal(1_000);
  });

  it('[5.7] never comes back before the server advised, and not all at the same moment', () => {
    const at = (random: number): number =>
      retryDelay(DEFAULT_BACKOFF, () => random, { attempt: 0, advisedMs: 5_000 });
    expect(at(0)).to.equal(5_000);
    expect(at(0.9)).to.equal(5_450);
    expect(retryDelay(DEFAULT_BACKOFF, () => 0.9, { attempt: 1, advisedMs: 1 })).to.equal(3);
  });

  it('after a refusal it is slow and never at once', () => {
    expect(refusedDelay(DEFAULT_BACKOFF, () => 0, { attempt: 0 })).to.equal(2_500);
  });
});
