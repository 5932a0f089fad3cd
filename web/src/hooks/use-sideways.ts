import { useCallback, useEffect, useState, type RefObject } from 'react';

export interface Sideways {
  /** Columns that are not, or not wholly, in view: further along. */
  ahead: number;
  /** Something is out of view behind the column that stays. */
  behind: boolean;
  forward: () => void;
}

/** How much of a table that is wider than its frame is out of view. `width` stands for what the columns are. */
export function useSideways(frame: RefObject<HTMLElement | null>, width: string): Sideways {
  const [{ ahead, behind }, setHidden] = useState({ ahead: 0, behind: false });

  useEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const look = (): void =>
      setHidden((old) => {
        const next = { ahead: countAhead(element), behind: element.scrollLeft > 1 };
        return next.ahead === old.ahead && next.behind === old.behind ? old : next;
      });
    const observer = new ResizeObserver(look);
    observer.observe(element);
    element.addEventListener('scroll', look, { passive: true });
    look();
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', look);
    };
  }, [frame, width]);

  const forward = useCallback(() => {
    const element = frame.current;
    const first = element ? cellsAhead(element)[0] : undefined;
    const stays = element?.querySelector<HTMLElement>('.rows-head .cell')?.offsetWidth ?? 0;
    if (element && first) element.scrollTo({ left: first.offsetLeft - stays });
  }, [frame]);
  return { ahead, behind, forward };
}

const countAhead = (element: HTMLElement): number => cellsAhead(element).length;

function cellsAhead(element: HTMLElement): HTMLElement[] {
  const edge = element.scrollLeft + element.clientWidth;
  const cells = [...element.querySelectorAll<HTMLElement>('.rows-head .cell')];
  return cells.filter((cell) => cell.offsetLeft + cell.offsetWidth > edge + 1);
}
