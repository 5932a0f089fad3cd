import { expect } from 'chai';
import type { Page } from 'playwright-core';
import { enter, enterGranted, isIn, logIn, useBrowser, type Visitor } from './browser.ts';

const OWED = 'your session there has not ended yet';

async function logOut(page: Page, username: string): Promise<void> {
  await page.getByLabel(`Account of ${username}`).click();
  await page.getByRole('button', { name: 'Log out' }).click();
}

/** Whether the browser still holds what a session is taken up with. */
async function holdsCookie({ page, gateway }: Visitor): Promise<boolean> {
  return (await page.context().cookies(`${gateway.url}/auth/refresh`)).length > 0;
}

describe('web: logging out while the gateway cannot be reached', function () {
  this.timeout(60_000);
  const { visit } = useBrowser();

  /** Logged out in the browser, while the gateway could not be told. */
  async function leaveUnheard(visitor: Visitor, username: string): Promise<void> {
    await enterGranted(visitor, username);
    await visitor.page.context().route('**/auth/logout', (route) => route.abort());
    await logOut(visitor.page, username);
    await visitor.page.getByText(OWED).waitFor();
  }

  it('says so, also after a reload, lets nobody back in, and ends the session as soon as it can', async () => {
    const visitor = await visit();
    const { page } = visitor;
    await leaveUnheard(visitor, 'lule');
    expect(await page.getByText('You are logged out.', { exact: true }).count()).to.equal(0);
    await page.reload();
    await page.getByText(OWED).waitFor();
    expect(await holdsCookie(visitor)).to.equal(true);
    const copy = await page.context().cookies(`${visitor.gateway.url}/auth/refresh`);
    await page.context().unroute('**/auth/logout');
    await page.getByText('You are logged out.', { exact: true }).waitFor();
    expect(await page.getByText(OWED).count()).to.equal(0);
    expect(await holdsCookie(visitor)).to.equal(false);
    // whoever has kept the cookie has nothing
    await page.context().addCookies(copy);
    await page.evaluate(() => localStorage.setItem('sluice.session', 'yes'));
    await page.reload();
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
  });

  it('is tried at once when asked to, and told to the other tabs', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await leaveUnheard(visitor, 'majlinda');
    const second = await page.context().newPage();
    await second.goto(gateway.url);
    await second.getByText(OWED).waitFor();
    await page.context().unroute('**/auth/logout');
    await page.getByRole('button', { name: 'Try now' }).click();
    for (const tab of [page, second]) await tab.getByText('You are logged out.', { exact: true }).waitFor();
  });

  it('whoever logs in next is let in once it has ended, and stays logged in', async () => {
    const visitor = await visit();
    const { page } = visitor;
    await enter(visitor, 'nora');
    await logOut(page, 'nora');
    await page.getByText('You are logged out').waitFor();
    await leaveUnheard(visitor, 'oltion');
    await page.context().unroute('**/auth/logout');
    const told: string[] = [];
    page.on('request', (request) => told.push(new URL(request.url()).pathname));
    await logIn(visitor, 'nora');
    await isIn(page);
    const asked = told.filter((path) => ['/auth/logout', '/api/login'].includes(path));
    expect(asked).to.deep.equal(['/auth/logout', '/api/login']);
    await page.reload();
    await page.getByLabel('Account of nora').waitFor();
  });
});
