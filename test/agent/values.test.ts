import { expect } from 'chai';
import { toFields, toLocal } from '../../agent/convert.ts';
import type { Value } from '../../agent/literal.ts';
import { mapping } from '../../agent/mapping.ts';

/** The one column of an act, as its configuration says. */
function field(column: unknown): (value: Value) => unknown {
  const act = {
    name: 'a',
    table: 't',
    key: ['id'],
    collection: 'fatura',
    id: '${id}',
    fields: { x: column },
  };
  const [parsed] = mapping.parse({ acts: [act] }).acts;
  return (c) => toFields(parsed!.fields, { c })['x'];
}

function local(source: unknown): (value: unknown) => Value {
  const down = { collection: 'porosia', table: 't', partitions: 'own', key: ['x'], columns: { x: source } };
  const [parsed] = mapping.parse({ down: [down] }).down;
  return (value) => toLocal(value, parsed!.columns['x']!);
}

describe('agent: words and dates of the shop', () => {
  it('translates values that are named, and leaves the others as they are', () => {
    const kind = field({ column: 'c', values: { shitje: 'sale', '1': 'credit' } });
    expect([kind('shitje'), kind(1), kind('other'), kind(null)]).to.deep.equal([
      'sale',
      'credit',
      'other',
      undefined,
    ]);
    const status = local({ field: 'status', values: { placed: 'porositur' } });
    expect([status('placed'), status('shipped'), status(undefined)]).to.deep.equal([
      'porositur',
      'shipped',
      null,
    ]);
  });

  const dates: [string, Value, string][] = [
    ['dd.mm.yyyy', '20.11.2026', '2026-11-20'],
    ['dd.mm.yyyy', '20.11.2026 14:30', '2026-11-20T14:30:00'],
    ['dd/mm/yyyy', '20/11/2026 14:30:05', '2026-11-20T14:30:05'],
    ['mm/dd/yyyy', '11/20/2026', '2026-11-20'],
    ['unix', 1_795_188_600, '2026-11-20T15:30:00.000Z'],
  ];
  for (const [as, here, there] of dates) {
    it(`a date as ${as} becomes ISO and comes back: ${String(here)}`, () => {
      expect(field({ column: 'c', as })(here)).to.equal(there);
      const back = local({ field: 'date', as })(there);
      expect(back).to.equal(
        typeof here === 'string' && /\d:\d\d$/.test(here) && here.length === 16 ? `${here}:00` : here,
      );
    });
  }

  it('[P5] a date of another form than stated is refused by itself, never sent raw', () => {
    for (const value of ['11/20/2026', '31.02.2026', '2026-11-20', 'yesterday', '20.11.2026 25:00'])
      expect(() => field({ column: 'c', as: 'dd.mm.yyyy' })(value), value).to.throw(/is no date/);
    expect(() => field({ column: 'c', as: 'unix' })('soon')).to.throw(/is no/);
  });

  it('what comes down in another form than stated stays as it is', () => {
    expect(local({ field: 'date', as: 'dd.mm.yyyy' })('soon')).to.equal('soon');
  });
});
