import { expect } from 'chai';
import { formatTable } from '../../bench/report.ts';
import { median, percentile, reaches, toMetric } from '../../bench/stats.ts';

describe('bench: figures', () => {
  it('takes percentiles by nearest rank, whatever the order', () => {
    const sample = [5, 1, 4, 2, 3];
    expect([0.5, 0.99, 0.2].map((share) => percentile(sample, share))).to.deep.equal([3, 5, 1]);
  });

  it('takes the middle of a sample, of two middles their mean', () => {
    expect([median([9, 1, 5]), median([1, 2, 3, 10])]).to.deep.equal([5, 2.5]);
  });

  it('has no ratio without a reference', () => {
    expect(toMetric(5, null, 'MB')).to.deep.equal({ value: 5, reference: null, ratio: null, unit: 'MB' });
    expect(toMetric(5, 0, 's').ratio).to.equal(null);
  });

  it('divides the value by the reference, in both directions', () => {
    expect(toMetric(600, 1_000, 'records/s').ratio).to.equal(0.6);
    expect(toMetric(2, 1, 'ms').ratio).to.equal(2);
  });

  it('judges a target at its bound as reached', () => {
    expect(reaches(toMetric(6, 10, 'x'), { of: 'ratio', bound: 0.6, better: 'higher' })).to.equal(true);
    expect(reaches(toMetric(31, 9, 'KB'), { of: 'value', bound: 30, better: 'lower' })).to.equal(false);
    expect(reaches(toMetric(1, null, 'x'), { of: 'ratio', bound: 1, better: 'lower' })).to.equal(undefined);
  });

  it('says in the table which target was missed', () => {
    const table = formatTable({
      push_single: toMetric(10, 100, 'records/s'),
      extra: toMetric(1, null, 'MB'),
    });
    expect(table).to.match(/push_single +10 +100 +0\.10 +records\/s +ratio >= 0\.6 +MISSED/);
    expect(table).to.match(/extra +1 +- +- +MB$/);
  });
});
