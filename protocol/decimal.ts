/**
 * Exact decimal arithmetic on decimal strings such as "12.50", over BigInt.
 * Money travels as decimal strings and increments must be exact (0.1 + 0.2 = 0.3), which doubles cannot promise.
 */

interface Scaled {
  units: bigint;
  /** Digits behind the point. */
  scale: number;
}

const DECIMAL = /^([+-]?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
/** Beyond this exponent a "number" is an attack on memory, not a quantity. */
const MAX_EXPONENT = 400;

/** Adds two decimals. The result keeps the longer fraction: "1.50" + "1" = "2.50". Throws RangeError on bad input. */
export function addDecimal(a: string, b: string): string {
  const [x, y] = align(parseDecimal(a), parseDecimal(b));
  return format({ units: x.units + y.units, scale: x.scale });
}

/** Multiplies two decimals; the scales add up. Throws RangeError on bad input. */
export function multiplyDecimal(a: string, b: string): string {
  const x = parseDecimal(a);
  const y = parseDecimal(b);
  return format({ units: x.units * y.units, scale: x.scale + y.scale });
}

/** Compares two decimals by value: -1, 0 or 1 ("1.50" equals "1.5"). */
export function compareDecimal(a: string, b: string): number {
  const [x, y] = align(parseDecimal(a), parseDecimal(b));
  return x.units < y.units ? -1 : x.units > y.units ? 1 : 0;
}

/** Adds two JSON numbers exactly, as their shortest decimal forms: 0.1 + 0.2 = 0.3. */
export function addNumbers(a: number, b: number): number {
  const sum = a + b;
  if (Number.isSafeInteger(a) && Number.isSafeInteger(b) && Number.isSafeInteger(sum)) return sum;
  if (!Number.isFinite(a) || !Number.isFinite(b)) throw new RangeError('not a finite number');
  return Number(addDecimal(String(a), String(b)));
}

/** What rounding may take of a number that is added: a billionth, which is none of its digits that count. */
const NOISE = 10n ** 9n;

/** Beyond these a number is no quantity, and its digits are a burden: 10^308 + 10^-308 has 617. */
const [SMALLEST, LARGEST] = [1e-30, 1e30];

/** As `addNumbers`; undefined when no double holds the sum, so that of `by` something would be lost: 2^53 + 1. */
export function addWhole(value: number, by: number): number | undefined {
  if (!isQuantity(value) || !isQuantity(by)) return undefined;
  const sum = addNumbers(value, by);
  if (Number.isSafeInteger(sum) && Number.isSafeInteger(value) && Number.isSafeInteger(by)) return sum;
  const exact = parseDecimal(addDecimal(String(value), String(by)));
  const [wanted, held] = align(exact, parseDecimal(String(sum)));
  if (wanted.units === held.units) return sum;
  const [lost, added] = align({ ...wanted, units: wanted.units - held.units }, parseDecimal(String(by)));
  return magnitude(lost.units) * NOISE <= magnitude(added.units) ? sum : undefined;
}

function isQuantity(value: number): boolean {
  return value === 0 || (Math.abs(value) >= SMALLEST && Math.abs(value) <= LARGEST);
}

function magnitude(units: bigint): bigint {
  return units < 0n ? -units : units;
}

function parseDecimal(text: string): Scaled {
  const match = DECIMAL.exec(text);
  if (!match) throw new RangeError(`not a decimal: ${text.slice(0, 40)}`);
  const [, sign = '', whole = '0', fraction = '', exponent = '0'] = match;
  const shift = Number(exponent);
  if (Math.abs(shift) > MAX_EXPONENT) throw new RangeError('exponent out of range');
  const magnitude = BigInt(whole + fraction);
  const units = sign === '-' ? -magnitude : magnitude;
  const scale = fraction.length - shift;
  return scale >= 0 ? { units, scale } : { units: units * 10n ** BigInt(-scale), scale: 0 };
}

function align(a: Scaled, b: Scaled): [Scaled, Scaled] {
  const scale = Math.max(a.scale, b.scale);
  return [rescale(a, scale), rescale(b, scale)];
}

function rescale(value: Scaled, scale: number): Scaled {
  return { units: value.units * 10n ** BigInt(scale - value.scale), scale };
}

function format({ units, scale }: Scaled): string {
  const negative = units < 0n;
  const digits = (negative ? -units : units).toString().padStart(scale + 1, '0');
  const whole = digits.slice(0, digits.length - scale);
  const fraction = scale === 0 ? '' : `.${digits.slice(digits.length - scale)}`;
  return `${negative ? '-' : ''}${whole}${fraction}`;
}
