import { expect } from 'chai';
import type { Page } from 'playwright-core';
import { enter, isIn, logIn, openSection, useBrowser, type Visitor } from './browser.ts';

describe('web: a message that waits for the connection', function () {
  this.timeout(90_000);
  const { visit } = useBrowser();

  async function openGeneral(page: Page): Promise<void> {
    await openSection(page, 'Chat');
    await page.getByRole('link', { name: 'General' }).click();
    await page.getByLabel('Message to General').waitFor();
  }
  const wordsOf = (username: string): string => `Twelve lanterns for ${username}`;
  const written = (page: Page, username: string) =>
    page.getByRole('article').filter({ hasText: wordsOf(username) });

  async function writeOffline(visitor: Visitor, username: string): Promise<void> {
    const { page, gateway } = visitor;
    await enter(visitor, username);
    await openGeneral(page);
    await gateway.interrupt();
    await page.getByText('offline: messages wait here').waitFor();
    await page.getByLabel('Message to General').fill(wordsOf(username));
    await page.keyboard.press('Enter');
    await written(page, username).filter({ hasText: 'Sending…' }).waitFor();
  }

  it('[P2] outlives the page, and is sent once', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await writeOffline(visitor, 'agim');
    const again = await page.context().newPage();
    await page.close();
    await gateway.resume();
    await again.goto(gateway.url);
    await openGeneral(again);
    await written(again, 'agim').getByRole('time').waitFor();
    await again.reload();
    await written(again, 'agim').getByRole('time').waitFor();
    expect(await written(again, 'agim').count()).to.equal(1);
  });

  it('goes with the logout, which says so first', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await writeOffline(visitor, 'bardhi');
    await page.getByLabel('Account of bardhi').click();
    await page.getByRole('button', { name: 'Log out' }).click();
    const dialog = page.getByRole('dialog', { name: 'Log out?' });
    await dialog.getByText('One message has not been sent yet').waitFor();
    await dialog.getByRole('button', { name: 'Log out' }).click();
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
    await gateway.resume();
    await logIn(visitor, 'bardhi');
    await isIn(page);
    await openGeneral(page);
    await page.getByText('offline: messages wait here').waitFor({ state: 'detached' });
    expect(await written(page, 'bardhi').count()).to.equal(0);
  });

  it('is somebody else’s to nobody: whoever logs in next in this browser sends nothing of it', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    const other = await visit();
    await enter(other, 'dardan');
    await writeOffline(visitor, 'celik');
    // the session is gone, and nobody has logged out
    await page.context().clearCookies();
    await gateway.resume();
    await page.evaluate(() => localStorage.removeItem('sluice.session'));
    await page.goto('about:blank');
    await logIn(visitor, 'dardan');
    await isIn(page);
    await openGeneral(page);
    await page.getByLabel('Connection: Live').waitFor();
    expect(await written(page, 'celik').count()).to.equal(0);
  });
});
