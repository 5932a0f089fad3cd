import { expect } from 'chai';
import { enterGranted, openSection, useBrowser } from './browser.ts';
import { stock } from './samples.ts';

describe('web: the gateway out of reach', function () {
  this.timeout(60_000);
  const { visit } = useBrowser();

  it('every section opens from what the browser has, also one that was never opened', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await gateway.push('branch-1', [stock('branch-1', 'LANTERN-7', 7)]);
    await enterGranted(visitor, 'drita');
    await page.waitForLoadState('networkidle');
    await page.context().setOffline(true);
    for (const section of ['Stock', 'Orders', 'People', 'Chat']) {
      await openSection(page, section);
      expect(await page.getByText('This page has stopped').count()).to.equal(0);
      if (section === 'Stock') await page.getByText('LANTERN-7').first().waitFor();
    }
    await page.context().setOffline(false);
  });

  it('what is fetched only when it is asked for waits for the gateway, and then opens', async () => {
    const visitor = await visit();
    const { page } = visitor;
    await enterGranted(visitor, 'era');
    await page.waitForLoadState('networkidle');
    await page.context().setOffline(true);
    await page.evaluate(() => (location.hash = '#/account'));
    await page.getByText('Loading…').waitFor();
    await page.context().setOffline(false);
    await page.getByRole('navigation', { name: 'Your account' }).waitFor();
    expect(await page.getByText('This page has stopped').count()).to.equal(0);
  });
});
