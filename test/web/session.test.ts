import { expect } from 'chai';
import type { Page } from 'playwright-core';
import { enterGranted, isLive, logIn, openSection, useBrowser } from './browser.ts';
import { invoice } from './samples.ts';

describe('web: the session', function () {
  this.timeout(60_000);
  const { visit } = useBrowser();

  it('is not asked for at a first visit: no refused request, nothing in the console', async () => {
    const { page, gateway, problems } = await visit();
    const refreshes: string[] = [];
    page.on('request', (request) => {
      if (request.url().includes('/auth/')) refreshes.push(request.url());
    });
    await page.goto(gateway.url);
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
    await page.waitForLoadState('networkidle');
    expect(refreshes).to.deep.equal([]);
    expect(problems).to.deep.equal([]);
  });

  it('outlives a reload, without a token that a script could read', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enterGranted(visitor, 'fatos');
    await gateway.push('branch-1', [invoice({ number: 'KEPT-1' })]);
    await page.getByText('KEPT-1').waitFor();
    await page.reload();
    await page.getByText('KEPT-1').waitFor();
    await isLive(page);
    expect(await page.getByText('none yet').count()).to.equal(0);
    await page.getByRole('img', { name: /since \d\d:\d\d: 1 in all/ }).waitFor();
    const readable = await page.evaluate(() =>
      [document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage)].join(' '),
    );
    expect(readable).not.to.match(/token|refresh|eyJ/i);
    expect(await page.evaluate(() => document.cookie)).to.equal('');
    const cookies = await page.context().cookies(`${gateway.url}/auth/refresh`);
    expect(cookies.filter((cookie) => cookie.httpOnly && cookie.sameSite !== 'None')).to.have.length(
      cookies.length,
    );
    expect(cookies).not.to.have.length(0);
  });

  it('ends when logging out, and is not asked for again', async () => {
    const visitor = await visit();
    const { page, problems } = visitor;
    await enterGranted(visitor, 'gent');
    await page.getByLabel('Account of gent').click();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByText('You are logged out').waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
    expect(problems).to.deep.equal([]);
  });

  it('[P7] revoked elsewhere: the login page says why', async () => {
    const visitor = await visit();
    await enterGranted(visitor, 'hana');
    await visitor.gateway.revoke('hana');
    await visitor.page.getByText('Your session has ended').waitFor();
    await visitor.page.getByRole('button', { name: 'Log in' }).waitFor();
  });

  const keeps = (page: Page): Promise<string[]> =>
    page.evaluate(async () => {
      const databases = await indexedDB.databases();
      return [...databases.map(({ name = '' }) => name), ...Object.keys(localStorage)].filter((name) =>
        /^sluice\.\d/.test(name),
      );
    });

  it('revoked means gone: what the browser had received is deleted, on an open page and at the next visit', async () => {
    const [open, away] = [await visit(), await visit()];
    await enterGranted(open, 'hysen');
    await logIn(away, 'hysen');
    await isLive(away.page);
    for (const { page } of [open, away]) expect(await keeps(page)).to.have.length.above(1);
    await away.page.goto('about:blank');
    await open.gateway.revoke('hysen');
    await open.page.getByText('What this browser had received is deleted').waitFor();
    await away.page.goto(away.gateway.url);
    await away.page.getByText('What this browser had received is deleted').waitFor();
    for (const { page } of [open, away]) {
      await page.waitForFunction(async () => (await indexedDB.databases()).length === 0);
      expect(await keeps(page)).to.deep.equal([]);
    }
  });

  it('without the gateway shows the last state and says so, keeps messages, and catches up', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enterGranted(visitor, 'ilir');
    await openSection(page, 'Chat');
    await page.getByRole('link', { name: 'General' }).click();
    await gateway.interrupt();
    await page.getByText('What you see is the last state received').waitFor();
    await openSection(page, 'Invoices');
    expect(await page.getByRole('definition').first().innerText()).to.equal('–');
    await openSection(page, 'Chat');
    await page.getByRole('link', { name: 'General' }).click();
    await page.getByLabel('Message to General').fill('Sent in the dark');
    await page.keyboard.press('Enter');
    const message = page.getByRole('article').filter({ hasText: 'Sent in the dark' });
    await message.filter({ hasText: 'Sending' }).waitFor();
    await gateway.resume();
    await message.filter({ hasText: 'ilir' }).waitFor({ timeout: 30_000 });
    expect(await message.count()).to.equal(1);
  });

  it('offline one need not wait for the next try', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enterGranted(visitor, 'jeton');
    await gateway.interrupt();
    const banner = page.getByRole('status').filter({ hasText: 'What you see is the last state received' });
    await banner.waitFor();
    await page.getByText(/Reconnecting in ([5-9]|\d\d) s/).waitFor();
    await gateway.resume();
    await banner.getByRole('button', { name: 'Try now' }).click();
    await page.getByLabel('Connection: Live').waitFor({ timeout: 4_000 });
  });

  it('when the gateway is away at the start, tries again by itself', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enterGranted(visitor, 'jon');
    await page.route('**/auth/refresh', (route) => route.abort());
    await page.reload();
    await page.getByText('The gateway cannot be reached').waitFor();
    await page.unroute('**/auth/refresh');
    await page.getByRole('button', { name: 'Try now' }).click();
    await isLive(page);
    expect(gateway.url).to.equal(new URL(page.url()).origin);
  });
});
