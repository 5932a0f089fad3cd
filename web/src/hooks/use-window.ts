import { useCallback, useEffect, useRef, useState, type RefObject, type UIEvent } from 'react';

export interface RowWindow {
  ref: RefObject<HTMLDivElement | null>;
  onScroll: (event: UIEvent<HTMLDivElement>) => void;
  /** First row to draw, and the one behind the last. */
  first: number;
  end: number;
  atTop: boolean;
  toTop: () => void;
}

const OVERSCAN = 6;

/** Which rows of a long list are in view: all rows have the same height, only these are drawn. */
export function useWindow(count: number, rowHeight: number): RowWindow {
  const ref = useRef<HTMLDivElement>(null);
  const [height, setHeight] = useState(600);
  const [top, setTop] = useState(0);

  useEffect(() => {
    const element = ref.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const onScroll = useCallback(
    // In whole rows: scrolling within a row draws nothing anew.
    (event: UIEvent<HTMLDivElement>) => setTop(Math.floor(event.currentTarget.scrollTop / rowHeight)),
    [rowHeight],
  );
  const toTop = useCallback(() => ref.current?.scrollTo({ top: 0 }), []);

  const visible = Math.ceil(height / rowHeight);
  const first = Math.max(0, Math.min(top, count - visible) - OVERSCAN);
  return {
    ref,
    onScroll,
    first,
    end: Math.min(count, first + visible + 2 * OVERSCAN),
    atTop: top === 0,
    toTop,
  };
}
