import { useMediaQuery } from '@mantine/hooks';

const DENSE = 36;
/** Two lines of text, and a finger. */
const TOUCH = 44;

/** Pixels of a row: dense on a desk, touchable on a phone. */
export function useRowHeight(twoLines = false): number {
  const narrow = useMediaQuery('(width < 48em)', undefined, { getInitialValueInEffect: false });
  return narrow || twoLines ? TOUCH : DENSE;
}
