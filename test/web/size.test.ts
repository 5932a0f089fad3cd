import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { buildPage } from './build.ts';

const ASSETS = join(import.meta.dirname, '../../dist/web/assets');
const KB = 1_000;

/** The pages of a working day: what an account needs now and then is not among them. */
const DAILY = ['login', 'invoices', 'stock', 'orders', 'chat', 'people'].map((name) => `${name}-page`);
const SELDOM = [
  'account-page',
  'app-card',
  'device-page',
  'invite-page',
  'invitations',
  'step-up-dialog',
  'webauthn',
];

describe('web: the size of the page', function () {
  this.timeout(60_000);
  const files = new Map<string, Buffer>();

  before(async () => {
    await buildPage();
    for (const name of await readdir(ASSETS)) files.set(name, await readFile(join(ASSETS, name)));
  });

  it('is below 250 KB, compressed, with every page of a working day', () => {
    const first = loadedWith(files, ['index', 'signed-in', ...DAILY]);
    expect(first.size).to.be.above(10);
    expect(sizeOf(files, first)).to.be.below(250 * KB);
  });

  for (const name of SELDOM)
    it(`loads ${name} when it is asked for, and little more`, () => {
      const first = loadedWith(files, ['index', 'signed-in', ...DAILY]);
      const added = new Set([...loadedWith(files, [name])].filter((file) => !first.has(file)));
      expect([...added].some((file) => file.startsWith(`${name}-`))).to.equal(true);
      expect(sizeOf(files, added)).to.be.below(15 * KB);
    });
});

/** What the browser fetches for these, and whatever they import at once. */
function loadedWith(files: ReadonlyMap<string, Buffer>, names: readonly string[]): Set<string> {
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const code = files.get(file);
    if (!code) throw new Error(`there is no ${file}`);
    for (const [, next = ''] of code.toString().matchAll(/(?:from|import)\s*["'`]\.\/([\w.-]+\.js)["'`]/g))
      visit(next);
  };
  for (const name of names) {
    const own = [...files.keys()].filter((file) => file.startsWith(`${name}-`) && !file.endsWith('.map'));
    if (own.length === 0) throw new Error(`there is no ${name}`);
    own.forEach(visit);
  }
  return seen;
}

function sizeOf(files: ReadonlyMap<string, Buffer>, names: ReadonlySet<string>): number {
  return [...names].reduce((sum, name) => sum + gzipSync(files.get(name) ?? '').length, 0);
}
