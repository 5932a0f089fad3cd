import { useEffect, useRef } from 'react';
import { useComputedColorScheme } from '@mantine/core';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { formatNumber } from '../format.ts';

interface MinuteChartProps {
  /** Unix seconds, one per minute. */
  times: number[];
  counts: number[];
}

/** Invoices per minute as bars; its label says the same in words. */
export function MinuteChart({ times, counts }: MinuteChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const latest = useRef<uPlot.AlignedData>([times, counts]);
  const scheme = useComputedColorScheme('light');

  useEffect(() => {
    const element = host.current;
    if (!element) return undefined;
    const made = new uPlot(optionsFor(element), latest.current, element);
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
    latest.current = [times, counts];
    plot.current?.setData(latest.current);
  }, [times, counts]);

  const sum = counts.reduce((total, count) => total + count, 0);
  const words = `Invoices per minute, last 60 minutes: ${formatNumber(sum)} in all, most in one minute ${formatNumber(Math.max(0, ...counts))}, this minute ${formatNumber(counts.at(-1) ?? 0)}.`;
  return <div ref={host} className="chart" role="img" aria-label={words} data-sum={sum} />;
}

function optionsFor(element: HTMLElement): uPlot.Options {
  const style = getComputedStyle(element);
  const ink = style.getPropertyValue('--ink-soft').trim();
  const grid = { stroke: style.getPropertyValue('--line').trim(), width: 1 };
  const bar = style.getPropertyValue('--bar').trim();
  const font = `11px ${style.fontFamily}`;
  return {
    ...sizeOf(element),
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 8, 0, 0],
    scales: { x: { time: true }, y: { range: (_, __, max) => [0, Math.max(4, Math.ceil(max * 1.1))] } },
    axes: [
      {
        stroke: ink,
        grid: { show: false },
        ticks: { show: false },
        font,
        size: 24,
        values: clockLabels,
        space: 60,
      },
      {
        stroke: ink,
        grid,
        ticks: { show: false },
        font,
        size: 40,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000],
        space: 34,
      },
    ],
    series: [{}, { fill: bar, stroke: bar, width: 0, points: { show: false }, paths: barPaths() }],
  };
}

const sizeOf = (element: HTMLElement) => ({ width: element.clientWidth, height: element.clientHeight });

function barPaths(): uPlot.Series.PathBuilder {
  const bars = uPlot.paths.bars;
  if (!bars) throw new Error('uPlot was built without bars');
  return bars({ size: [0.75, 24] });
}

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const clockLabels: uPlot.Axis.Values = (_, splits) => splits.map((second) => clock.format(second * 1_000));
