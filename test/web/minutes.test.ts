import { expect } from 'chai';
import { createMinuteCounts, parseDated } from '../../web/src/model/minutes.ts';

const MINUTE = 60_000;

describe('web: the count of the last hour', () => {
  const now = Date.now();

  it('counts what it heard by when the gateway took it, and nothing that it did not hear', () => {
    const minutes = createMinuteCounts(null);
    minutes.begin(now - 5 * MINUTE, 10);
    minutes.known(10, null);
    minutes.heard(11, now - MINUTE);
    minutes.heard(12, now);
    const { counts, whole, since, dated } = minutes.series(now);
    expect(counts.slice(-2)).to.deep.equal([1, 1]);
    expect(counts.reduce((sum, count) => sum + count, 0)).to.equal(2);
    expect({ whole, since, dated }).to.deep.equal({ whole: false, since: now - 5 * MINUTE, dated: 0 });
  });

  it('counts an invoice once, whether a snapshot or a change told of it first', () => {
    const minutes = createMinuteCounts(null);
    minutes.begin(now, 10);
    minutes.known(9, now - 2 * MINUTE);
    minutes.heard(9, now);
    minutes.known(11, now - 2 * MINUTE);
    minutes.heard(11, now);
    const { counts, dated } = minutes.series(now);
    expect([counts.at(-1), counts.at(-3), dated]).to.deep.equal([1, 1, 1]);
  });

  it('goes on after a reload, and starts anew where listening began anew', () => {
    const first = createMinuteCounts(null);
    first.begin(now - 90 * MINUTE, 10);
    first.heard(11, now);
    const second = createMinuteCounts(first.save());
    second.known(11, now);
    second.heard(12, now);
    expect(second.series(now)).to.include({ whole: true, dated: 0 });
    expect(second.series(now).counts.at(-1)).to.equal(2);
    second.begin(now, 12);
    expect(second.series(now)).to.include({ whole: false, since: now });
    expect(second.series(now).counts.at(-1)).to.equal(0);
  });

  it('takes nothing from a storage that others have written to', () => {
    for (const saved of ['', '[[1,2]]', '{"since":1}', '{"since":"1","above":2,"counts":[]}'])
      expect(createMinuteCounts(saved).begun(), saved).to.equal(false);
    const odd = createMinuteCounts(
      `{"since":1,"above":2,"counts":[["x",1],[${Math.floor(now / MINUTE)},3]]}`,
    );
    expect(odd.series(now).counts.at(-1)).to.equal(3);
  });

  it('believes an invoice its time only with its time zone', () => {
    expect(parseDated('2026-11-20T11:42:00Z')).to.equal(Date.UTC(2026, 10, 20, 11, 42));
    expect(parseDated('2026-11-20 11:42:00.250+01:00')).to.equal(Date.UTC(2026, 10, 20, 10, 42, 0, 250));
    for (const date of ['2026-11-20', '2026-11-20 11:42:00', '2026-11-20T11:42', '2026-99-99T00:00Z', 'x'])
      expect(parseDated(date), date).to.equal(null);
  });
});
