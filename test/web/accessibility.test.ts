import { expect } from 'chai';
import { enterGranted, isLive, openAccount, openSection, useBrowser } from './browser.ts';
import { audit, lowContrast, unnamed } from './audit.ts';
import { invoice, order, stock } from './samples.ts';

const SECTIONS = ['Invoices', 'Stock', 'Orders', 'Chat', 'People'];
const TABS = ['Profile', 'Logging in', 'Sessions', 'Devices', 'Logins'] as const;
/** Where a page's title is not the word in the navigation. */
const TITLES: Record<string, string> = { People: 'People and branches' };

describe('web: for everybody', function () {
  this.timeout(90_000);
  const { visit } = useBrowser();

  it('names every control and has one first heading and its own title on each page', async () => {
    const visitor = await visit();
    const { page } = visitor;
    await enterGranted(visitor, 'petrit');
    for (const section of SECTIONS) {
      await openSection(page, section);
      await page.waitForFunction(
        (title) => document.title === `${title} · Sluice`,
        TITLES[section] ?? section,
      );
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

  for (const scheme of ['light', 'dark'] as const)
    it(`shows the account to everybody, on a phone of 360 pixels too (${scheme})`, async () => {
      const visitor = await visit({ width: 360 });
      const { page, gateway } = visitor;
      const name = `someone-with-a-long-name-for-a-phone-${scheme}`;
      const check = async (where: string): Promise<void> => {
        expect(await audit(page, lowContrast), where).to.deep.equal([]);
        expect(await audit(page, unnamed), where).to.deep.equal([]);
        expect(await page.locator('h1').count(), where).to.equal(1);
        const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        expect(over, where).to.be.at.most(0);
      };
      await page.emulateMedia({ colorScheme: scheme });
      await enterGranted(visitor, name);
      await gateway.makeAdmin(name);
      await page.reload();
      await openSection(page, 'People');
      await page
        .getByRole('button', { name: /^Disable / })
        .first()
        .waitFor();
      await check('administration');
      for (const tab of TABS) {
        await openAccount(page, tab);
        await page.getByRole('region').nth(1).waitFor();
        await check(tab);
      }
      await openAccount(page, 'Logging in');
      await page.getByRole('button', { name: 'Set up' }).click();
      await page.getByRole('img', { name: 'QR code' }).waitFor();
      await check('setting an app up');
      await gateway.age(name);
      await openAccount(page, 'Profile');
      await page.getByRole('button', { name: 'Close my account…' }).click();
      await check('closing');
      await page.getByRole('dialog').getByRole('button', { name: 'Close my account' }).click();
      await page.getByRole('dialog', { name: 'Is it you?' }).getByLabel('Password').first().waitFor();
      await check('being asked');
      await page.goto(`${gateway.url}/device#BCDF-GHJK`);
      await page.getByRole('textbox', { name: 'Code' }).waitFor();
      await check('a terminal');
      await page.goto(`${gateway.url}/invite#something`);
      await page.getByText('An invitation is for a new account').waitFor();
      await check('an invitation');
    });

  it('is asked by keyboard: the focus is in the question, and afterwards where it was', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enterGranted(visitor, 'urata');
    await gateway.age('urata');
    await openAccount(page, 'Logging in');
    await page.getByRole('button', { name: 'Set up' }).focus();
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog', { name: 'Is it you?' });
    await dialog.getByLabel('Password', { exact: true }).waitFor();
    await page.waitForFunction(() => document.activeElement?.getAttribute('type') === 'password');
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    await page.waitForFunction(() => document.activeElement?.textContent === 'Set up');
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

  it('moves nothing for those who asked for less motion', async () => {
    const { page, gateway } = await visit();
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await page.route('**/api/login', () => undefined);
    await page.goto(gateway.url);
    await page.getByLabel('Username or e-mail').fill('anybody');
    await page.getByLabel('Password', { exact: true }).fill('a password of some length');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.locator('button[data-loading]').waitFor();
    expect(await page.evaluate(() => document.getAnimations().length)).to.equal(0);
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
