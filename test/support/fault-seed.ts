/** Seeded chance: the same seed makes the same choices. FAULT_SEED repeats a run. */
export interface Chance {
  seed: number;
  /** A number in [0, 1). */
  next(): number;
  /** A whole number in [from, to). */
  between(from: number, to: number): number;
}

export function createChance(name: string): Chance {
  const given = process.env['FAULT_SEED'];
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
  process.stdout.write(`    ${name}: seed ${seed}\n`);
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return { seed, next, between: (from, to) => from + Math.floor(next() * (to - from)) };
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
