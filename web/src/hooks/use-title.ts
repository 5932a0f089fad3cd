import { useEffect } from 'react';

/** Names the page in the tab and to screen readers; the address alone changes only its fragment. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Sluice`;
  }, [title]);
}
