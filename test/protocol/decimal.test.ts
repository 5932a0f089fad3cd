import { expect } from 'chai';
import fc from 'fast-check';
import { canonicalJson, isDeeperThan } from '../../protocol/canonical.ts';
import { addDecimal, addNumbers, compareDecimal, multiplyDecimal } from '../../protocol/decimal.ts';

const decimal = fc
  .tuple(fc.boolean(), fc.bigInt(0n, 10n ** 18n), fc.integer({ min: 0, max: 9 }))
  .map(([minus, units, scale]) => {
    const digits = units.toString().padStart(scale + 1, '0');
    const text = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
    return minus ? `-${text}` : text;
  });

/** fast-check prints the seed and the smallest counterexample when a property fails. */
const holds = (property: fc.IRawProperty<unknown, false>): void => fc.assert(property, { numRuns: 300 });

describe('protocol: decimals and canonical JSON', () => {
  it('[PO7] sums commute, associate and cancel', () =>
    holds(
      fc.property(decimal, decimal, decimal, (a, b, c) => {
        expect(addDecimal(a, b)).to.equal(addDecimal(b, a));
        expect(compareDecimal(addDecimal(addDecimal(a, b), c), addDecimal(a, addDecimal(b, c)))).to.equal(0);
        expect(compareDecimal(addDecimal(a, multiplyDecimal(a, '-1')), '0')).to.equal(0);
      }),
    ));

  it('[PO7] products distribute over sums', () =>
    holds(
      fc.property(decimal, decimal, decimal, (a, b, c) => {
        const left = multiplyDecimal(a, addDecimal(b, c));
        expect(compareDecimal(left, addDecimal(multiplyDecimal(a, b), multiplyDecimal(a, c)))).to.equal(0);
      }),
    ));

  it('[PO7] cents add up as cents, whatever the order', () =>
    holds(
      fc.property(fc.array(fc.integer({ min: -(10 ** 9), max: 10 ** 9 }), { maxLength: 30 }), (cents) => {
        const sum = cents.reduce((total, cent) => addNumbers(total, cent / 100), 0);
        expect(sum).to.equal(cents.reduce((total, cent) => total + cent, 0) / 100);
      }),
    ));

  it('[PO7] refuses what is no decimal, and exponents that would fill the memory', () => {
    for (const text of ['', '1e', '0x10', 'NaN', '1,5', ' 1', '1e999999999'])
      expect(() => addDecimal(text, '1')).to.throw(RangeError);
    expect(() => addNumbers(Infinity, 1)).to.throw(RangeError);
  });

  it('[PU2] canonical JSON does not depend on the order of keys and means the same', () =>
    holds(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value);
        expect(JSON.parse(text)).to.deep.equal(JSON.parse(JSON.stringify(value)));
        expect(canonicalJson(reversed(value))).to.equal(text);
      }),
    ));

  it('[L4] depth is counted without recursion', () => {
    let value: unknown = 0;
    for (let i = 0; i < 200_000; i += 1) value = [value];
    expect(isDeeperThan(value, 32)).to.equal(true);
    expect(isDeeperThan([[0]], 2)).to.equal(false);
    expect(isDeeperThan([[[0]]], 2)).to.equal(true);
  });
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, reversed(member)]),
  );
}
