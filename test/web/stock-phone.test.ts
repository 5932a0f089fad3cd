import { expect } from 'chai';
import type { Page } from 'playwright-core';
import { enterGranted, openSection, useBrowser, type Visitor } from './browser.ts';
import { stock } from './samples.ts';

const BRANCHES = ['arta', 'bari', 'cerrik', 'durres', 'elbasan'];

describe('web: stock of more branches than the screen is wide', function () {
  this.timeout(60_000);
  const { visit } = useBrowser();

  async function openStock(visitor: Visitor, username: string): Promise<void> {
    for (const branch of BRANCHES)
      await visitor.gateway.push(branch, [stock(branch, `LAMP-${username}`, -3)]);
    await enterGranted(visitor, username);
    await openSection(visitor.page, 'Stock');
    await visitor.page.getByText(`LAMP-${username}`).first().waitFor();
  }

  /** Branches whose whole column is in view. */
  const inView = (page: Page): Promise<string[]> =>
    page.getByRole('region', { name: 'Stock: products' }).evaluate((region) => {
      const product = region.querySelector('[data-col="product"]')?.getBoundingClientRect();
      const { right } = region.getBoundingClientRect();
      return [...region.querySelectorAll('[role="columnheader"][data-col^="b:"]')]
        .filter((cell) => {
          const box = cell.getBoundingClientRect();
          return box.right <= right + 1 && box.left >= (product?.right ?? 0) - 1;
        })
        .map((cell) => cell.textContent);
    });

  it('on a phone it shows two branches at least, says how many more there are, and goes to them', async () => {
    const visitor = await visit({ width: 390 });
    const { page } = visitor;
    await openStock(visitor, 'bukuroshe');
    const seen = new Set(await inView(page));
    expect(seen.size).to.be.at.least(2);
    const more = page.getByRole('button', { name: /more branch/ });
    expect(await more.innerText()).to.contain(String(BRANCHES.length - seen.size));
    for (let tries = 0; tries < 5 && (await more.isVisible()); tries += 1) {
      await more.click();
      await page.waitForTimeout(700);
      for (const branch of await inView(page)) seen.add(branch);
    }
    expect([...seen].sort()).to.deep.equal(BRANCHES);
    expect(await more.count()).to.equal(0);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).to.equal(390);
  });

  it('on a desk, where all are in view, it says nothing', async () => {
    const visitor = await visit();
    await openStock(visitor, 'cvetan');
    expect(await inView(visitor.page)).to.deep.equal(BRANCHES);
    expect(await visitor.page.getByRole('button', { name: /more branch/ }).count()).to.equal(0);
  });
});
