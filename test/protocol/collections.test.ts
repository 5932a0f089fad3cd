import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { COLLECTIONS } from '../../protocol/collections.ts';

interface Shape {
  properties?: Record<string, { enum?: string[] }>;
  required?: string[];
}

const page = readFileSync(new URL('../../docs/COLLECTIONS.md', import.meta.url), 'utf8');

/** The cells of the row that begins with `first`. */
function rowOf(section: string, first: string): string[] | undefined {
  const rows = section.split('\n').map((line) => line.split('|').map((cell) => cell.trim()));
  return rows.find(([, cell]) => cell === `\`${first}\``);
}

const wordsIn = (cell = ''): (string | undefined)[] =>
  [...cell.matchAll(/`([^`]+)`/g)].map(([, word]) => word);

describe('docs/COLLECTIONS.md', () => {
  const sections = page.split('\n## ').slice(1);

  it('[V4] names every collection', () => {
    expect(sections.map((text) => /^\S+/.exec(text)?.[0])).to.deep.equal(COLLECTIONS.map(({ name }) => name));
  });

  for (const [at, { name, policy, schema }] of COLLECTIONS.entries()) {
    it(`[V4] has the very fields and values of ${name}`, () => {
      const section = sections[at] ?? '';
      expect(section).to.contain(`\`${policy}\``);
      const { properties = {}, required = [] } = schema as Shape;
      for (const field of new Set([...Object.keys(properties), ...required])) {
        const row = rowOf(section, field);
        expect(row?.[2], field).to.equal(required.includes(field) ? 'yes' : '');
        expect(wordsIn(row?.[3]), field).to.deep.equal(properties[field]?.enum ?? []);
      }
    });
  }

  it('[PO6] has the very steps between states', () => {
    for (const [at, { states }] of COLLECTIONS.entries()) {
      for (const [from, to] of Object.entries(states?.steps ?? {}))
        expect(wordsIn(rowOf(sections[at] ?? '', from)?.[2]), from).to.deep.equal(to);
    }
  });
});
