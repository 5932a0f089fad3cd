import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import type { BrowserContext, Page } from 'playwright-core';
import { enterGranted, isIn, isLive, logIn, useBrowser, type Visitor } from './browser.ts';
import { invoice } from './samples.ts';

const HOLD_MS = 400;

/** Holds each renewal back, so that two at a time are seen to be two. */
async function watchRenewals(
  context: BrowserContext,
  hold: () => Promise<unknown> = () => sleep(HOLD_MS),
): Promise<{ made: number; most: number }> {
  const seen = { made: 0, now: 0, most: 0 };
  await context.route('**/auth/refresh', async (route) => {
    seen.made += 1;
    seen.now += 1;
    seen.most = Math.max(seen.most, seen.now);
    await hold();
    const response = await route.fetch();
    seen.now -= 1;
    await route.fulfill({ response });
  });
  return seen;
}

/** Until a tab waits for the turn of another. */
async function untilOneWaits(tabs: readonly Page[]): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    const counts = tabs.map((tab) =>
      // a tab that is just being loaded has no locks
      tab.evaluate(async () => (await navigator.locks.query()).pending?.length ?? 0).catch(() => 0),
    );
    if ((await Promise.all(counts)).some((count) => count > 0)) return;
    await sleep(50);
  }
  throw new Error('no tab waits');
}

describe('web: several tabs', function () {
  this.timeout(60_000);
  const { visit } = useBrowser();

  async function openTab({ page, gateway }: Visitor): Promise<Page> {
    const tab = await page.context().newPage();
    tab.setDefaultTimeout(25_000);
    await tab.goto(gateway.url);
    return tab;
  }

  it('renew one after another, share what comes of it, and all go on', async () => {
    const visitor = await visit();
    const { page, gateway, problems } = visitor;
    await enterGranted(visitor, 'orges');
    const tabs = [page, await openTab(visitor), await openTab(visitor)];
    await Promise.all(tabs.map(isLive));
    const renewals = await watchRenewals(page.context());
    // a reload forgets the access token, so that each has to renew
    await Promise.all(tabs.map((tab) => tab.reload()));
    await Promise.all(tabs.map(isLive));
    expect(renewals.most).to.equal(1);
    expect(renewals.made).to.be.within(1, 3);
    await gateway.push('branch-1', [invoice({ number: 'TABS-1' })]);
    for (const tab of tabs) await tab.getByText('TABS-1').waitFor();
    expect(problems).to.deep.equal([]);
  });

  it('that wait for the same renewal are served by one', async () => {
    const visitor = await visit();
    const { page } = visitor;
    await enterGranted(visitor, 'pranvera');
    const second = await openTab(visitor);
    await isLive(second);
    const renewals = await watchRenewals(page.context(), () => untilOneWaits([page, second]));
    await Promise.all([page, second].map((tab) => tab.reload()));
    await Promise.all([page, second].map(isLive));
    expect(renewals).to.include({ made: 1, most: 1 });
  });

  it('log out together, and in again', async () => {
    const visitor = await visit();
    const { page, problems } = visitor;
    await enterGranted(visitor, 'qamil');
    const second = await openTab(visitor);
    await isLive(second);
    await page.getByLabel('Account of qamil').click();
    await page.getByRole('button', { name: 'Log out' }).click();
    for (const tab of [page, second]) await tab.getByText('You are logged out').waitFor();
    expect(problems).to.deep.equal([]);
    await logIn(visitor, 'qamil');
    for (const tab of [page, second]) await isIn(tab);
  });
});
