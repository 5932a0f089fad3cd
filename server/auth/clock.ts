/** Epoch milliseconds; tests hand in one they can turn. */
export type Clock = () => number;
