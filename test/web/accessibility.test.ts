import { expect } from 'chai';
import { enterGranted, isLive, openSection, useBrowser } from './browser.ts';
import { audit, lowContrast, unnamed } from './audit.ts';
import { invoice, order, stock } from './samples.ts';

const SECTIONS = ['Invoices', 'Stock', 'Orders', 'Chat', 'People'];

describe('web: for everybody', function () {
  this.timeout(90_000);
  const { visit } = useBrowser();

  it('names every control and has one first heading on each page', async () => {
    const visitor = await visit();
    const { page } = visitor;
    await enterGranted(visitor, 'petrit');
    for (const section of SECTIONS) {
      await openSection(page, section);
      await page.locator('h1').first().waitFor({ state: 'attached' });
      expect(await audit(page, unnamed), section).to.deep.equal([]);
      expect(await page.locator('h1').count(), section).to.equal(1);
    }
  });

  for (const scheme of ['light', 'dark'] as const) {
    it(`has a contrast of at least 4.5 to 1 everywhere (${scheme})`, async () => {
      const visitor = await visit();
      const { page, gateway } = visitor;
      await page.emulateMedia({ colorScheme: scheme });
      await page.goto(gateway.url);
      await page.getByRole('heading', { name: 'Log in' }).waitFor();
      expect(await audit(page, lowContrast), 'log in').to.deep.equal([]);
      await enterGranted(visitor, `qendrim-${scheme}`);
      await gateway.push('branch-1', [invoice(), invoice({ kind: 'credit', total: '-1.00' })]);
      await gateway.push('branch-1', [stock(scheme, 'A', -1), stock(scheme, 'B', 3)]);
      for (const status of ['draft', 'placed', 'confirmed', 'shipped', 'delivered', 'cancelled'])
        await gateway.push('branch-1', [order({ status })]);
      await page.getByLabel(/Account of/).click();
      for (const section of SECTIONS) {
        await openSection(page, section);
        await page.waitForTimeout(400);
        expect(await audit(page, lowContrast), section).to.deep.equal([]);
      }
    });
  }

  it('fits a phone of 360 pixels without scrolling sideways', async () => {
    const visitor = await visit({ width: 360 });
    const { page } = visitor;
    await enterGranted(visitor, 'rina-with-a-long-name-for-a-phone');
    for (const section of SECTIONS) {
      await openSection(page, section);
      await page.locator('h1').first().waitFor({ state: 'attached' });
      const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect(over, section).to.be.at.most(0);
    }
  });

  it('works by keyboard: skip link, an invoice opened and closed, focus back where it was', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enterGranted(visitor, 'sara');
    await gateway.push('branch-1', [invoice({ number: 'KEY-1' })]);
    await page.getByText('KEY-1').waitFor();
    await page.keyboard.press('Tab');
    expect(await page.evaluate(() => document.activeElement?.textContent)).to.equal('Skip to the content');
    await page.keyboard.press('Enter');
    expect(await page.evaluate(() => document.activeElement?.tagName)).to.equal('MAIN');
    await page.getByRole('button', { name: 'KEY-1' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByText('Total').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect(await page.evaluate(() => document.activeElement?.textContent)).to.contain('KEY-1');
  });

  it('follows the device between light and dark, and remembers a choice', async () => {
    const visitor = await visit();
    const { page } = visitor;
    await enterGranted(visitor, 'teuta');
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.locator('html[data-mantine-color-scheme=dark]').waitFor();
    await page.getByLabel('Account of teuta').click();
    await page.getByLabel('Appearance').selectOption('light');
    await page.reload();
    await isLive(page);
    expect(await page.locator('html').getAttribute('data-mantine-color-scheme')).to.equal('light');
  });
});
