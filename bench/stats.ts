/** The arithmetic of the report: pure, so that it can be tested without a run. */

export type Direction = 'higher' | 'lower';

/** One figure beside its reference. `ratio` is value / reference, whichever direction is better. */
export interface Metric {
  value: number;
  reference: number | null;
  ratio: number | null;
  unit: string;
}

/** What a figure has to reach (docs/BENCH.md): a bound of the ratio or of the value itself. */
export interface Target {
  of: 'ratio' | 'value';
  bound: number;
  better: Direction;
}

/** Builds a metric, rounded to what a reader can use. A reference of 0 or null has no ratio. */
export function toMetric(value: number, reference: number | null, unit: string): Metric {
  const ratio = reference === null || reference === 0 ? null : value / reference;
  return {
    value: significant(value),
    reference: reference === null ? null : significant(reference),
    ratio: ratio === null ? null : significant(ratio, 3),
    unit,
  };
}

/** The value at a share of the sorted sample (nearest rank): 0.5 is the median. NaN for an empty sample. */
export function percentile(sample: readonly number[], share: number): number {
  const sorted = [...sample].sort((a, b) => a - b);
  const rank = Math.max(1, Math.ceil(share * sorted.length));
  return sorted[rank - 1] ?? NaN;
}

/** The middle of a sample; of two middles, their mean. */
export function median(sample: readonly number[]): number {
  const sorted = [...sample].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[half] ?? NaN;
  return ((sorted[half - 1] ?? NaN) + (sorted[half] ?? NaN)) / 2;
}

/** Says whether a metric reaches its target; undefined when there is nothing to compare with. */
export function reaches(metric: Metric, target: Target): boolean | undefined {
  const figure = target.of === 'ratio' ? metric.ratio : metric.value;
  if (figure === null) return undefined;
  return target.better === 'higher' ? figure >= target.bound : figure <= target.bound;
}

function significant(value: number, digits = 4): number {
  return Number.isFinite(value) ? Number(value.toPrecision(digits)) : value;
}
