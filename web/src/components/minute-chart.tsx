import { useEffect, useRef } from 'react';
import { useComputedColorScheme } from '@mantine/core';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { formatNumber } from '../format.ts';
import type { PaceSeries } from '../model/minutes.ts';

interface MinuteChartProps {
  pace: PaceSeries;
  /** What the counts cover, in words. */
  span: string;
}

/** Invoices per minute as bars; its label says the same in words. Minutes nobody told us about are shaded. */
export function MinuteChart({ pace, span }: MinuteChartProps) {
  const { counts } = pace;
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const latest = useRef(pace);
  const scheme = useComputedColorScheme('light');

  useEffect(() => {
    const element = host.current;
    if (!element) return undefined;
    const { times: x, counts: y } = latest.current;
    const made = new uPlot(
      optionsFor(element, () => latest.current),
      [x, y],
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize(sizeOf(element)));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [scheme]);

  useEffect(() => {
    latest.current = pace;
    plot.current?.setData([pace.times, pace.counts]);
  }, [pace]);

  const sum = counts.reduce((total, count) => total + count, 0);
  const words = `Invoices per minute, ${lowerFirst(span)}: ${formatNumber(sum)} in all, most in one minute ${formatNumber(Math.max(0, ...counts))}, this minute ${formatNumber(counts.at(-1) ?? 0)}.`;
  return <div ref={host} className="chart" role="img" aria-label={words} data-sum={sum} />;
}

const MINUTE = 60;

function optionsFor(element: HTMLElement, pace: () => PaceSeries): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const axis = { stroke: colour('--ink-soft'), ticks: { show: false }, font: `11px ${style.fontFamily}` };
  return {
    ...sizeOf(element),
    legend: { show: false },
    cursor: { show: false },
    // Room for half a label at the right end and above the highest line.
    padding: [8, 20, 0, 0],
    scales: {
      // Half a minute more on both sides: the first and the last bar are as wide as the others.
      x: { time: true, range: (_, min, max) => [min - MINUTE / 2, max + MINUTE / 2] },
      y: { range: (_, __, max) => [0, topOf(max)] },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 24, values: clockLabels, space: 60 },
      {
        ...axis,
        grid: { stroke: colour('--line'), width: 1 },
        size: widthOfLabels,
        splits: (self) => splitsOf(self.scales['y']?.max ?? 0),
        values: (_, splits) => splits.map((count) => formatNumber(count)),
      },
    ],
    series: [
      {},
      {
        fill: colour('--bar'),
        stroke: colour('--bar'),
        width: 0,
        points: { show: false },
        paths: barPaths(),
      },
    ],
    hooks: { drawClear: [(self) => shadeUnknown(self, pace(), colour('--surface-soft'))] },
  };
}

/** The minutes before this browser listened, of which nothing is known. */
function shadeUnknown(plot: uPlot, { since, whole, dated, times }: PaceSeries, fill: string): void {
  const [first = 0] = times;
  if (whole || dated > 0) return;
  const { left, top, width, height } = plot.bbox;
  const until = since === undefined ? Infinity : since / 1_000;
  const right = Math.min(left + width, plot.valToPos(Math.max(first, until), 'x', true));
  plot.ctx.fillStyle = fill;
  plot.ctx.fillRect(left, top, Math.max(0, right - left), height);
}

/** The highest line: a round number that halves into whole invoices. */
function topOf(most: number): number {
  for (let unit = 1; ; unit *= 10)
    for (const step of [2, 4, 10]) if (unit * step >= Math.max(4, most)) return unit * step;
}

const splitsOf = (top: number): number[] => [0, top / 2, top];

function widthOfLabels(_: uPlot, labels: string[] | null): number {
  return 12 + 7 * Math.max(1, ...(labels ?? []).map((label) => label.length));
}

const sizeOf = (element: HTMLElement) => ({ width: element.clientWidth, height: element.clientHeight });

function barPaths(): uPlot.Series.PathBuilder {
  const bars = uPlot.paths.bars;
  if (!bars) throw new Error('uPlot was built without bars');
  return bars({ size: [0.75, 24] });
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const clockLabels: uPlot.Axis.Values = (_, splits) => splits.map((second) => clock.format(second * 1_000));
