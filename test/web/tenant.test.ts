import { expect } from 'chai';
import type { Page } from 'playwright-core';
import { PASSWORD, useBrowser } from './browser.ts';

describe('web: logging in to another organisation', function () {
  this.timeout(60_000);
  const { visit } = useBrowser();

  /** What is sent to an address from now on. */
  const sentTo = (page: Page, path: string): (() => unknown[]) => {
    const bodies: unknown[] = [];
    page.on('request', (request) => {
      if (new URL(request.url()).pathname === path) bodies.push(request.postDataJSON());
    });
    return () => bodies;
  };
  const submit = async (page: Page): Promise<void> => {
    await page.getByLabel('Username or e-mail').fill('ana');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    const answered = page.waitForResponse('**/api/login');
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await answered;
  };

  it('its number comes by the link in the mail, is sent along, and is kept for the next time', async () => {
    const { page, gateway } = await visit();
    const [logins, resets] = [sentTo(page, '/api/login'), sentTo(page, '/api/password/forgot')];
    await page.goto(`${gateway.url}/login#7`);
    await page.getByLabel('Organisation').waitFor();
    expect(page.url()).to.equal(`${gateway.url}/#/login`);
    expect(await page.getByLabel('Organisation').inputValue()).to.equal('7');
    await submit(page);
    await page.goto(gateway.url);
    expect(await page.getByLabel('Organisation').inputValue()).to.equal('7');
    await page.getByRole('link', { name: 'Forgot your password?' }).click();
    await page.getByLabel('E-mail').fill('ana@example.com');
    await page.getByRole('button', { name: 'Send a code' }).click();
    await page.getByText('If ana@example.com has an account here').waitFor();
    expect(logins()).to.deep.equal([{ username: 'ana', password: PASSWORD, tenant_id: 7 }]);
    expect(resets()).to.deep.equal([{ email: 'ana@example.com', tenant_id: 7 }]);
  });

  it('nobody else is asked for one; it can be typed, and emptied again', async () => {
    const { page, gateway } = await visit();
    const logins = sentTo(page, '/api/login');
    await page.goto(gateway.url);
    await page.getByLabel('Password', { exact: true }).waitFor();
    expect(await page.getByLabel('Organisation').count()).to.equal(0);
    await submit(page);
    await page.getByRole('button', { name: 'In another organisation?' }).click();
    await page.getByLabel('Organisation').fill('12');
    await submit(page);
    await page.getByLabel('Organisation').fill('');
    await submit(page);
    const base = { username: 'ana', password: PASSWORD };
    expect(logins()).to.deep.equal([base, { ...base, tenant_id: 12 }, base]);
    await page.reload();
    await page.getByLabel('Password', { exact: true }).waitFor();
    expect(await page.getByLabel('Organisation').count()).to.equal(0);
  });

  it('[S64] what is no number is taken for none', async () => {
    const { page, gateway } = await visit();
    const logins = sentTo(page, '/api/login');
    for (const made of ['0', '-3', '1e3', '99999999999', '%3Cimg%20src=x%3E', '7%00']) {
      await page.goto('about:blank');
      await page.goto(`${gateway.url}/login#${made}`);
      await page.getByLabel('Password', { exact: true }).waitFor();
      expect(await page.getByLabel('Organisation').count(), made).to.equal(0);
    }
    await submit(page);
    expect(logins()).to.deep.equal([{ username: 'ana', password: PASSWORD }]);
  });

  it('whoever accepts an invitation to one is logged in there', async () => {
    const { page, gateway } = await visit();
    const logins = sentTo(page, '/api/login');
    await page.route('**/api/invitations/look', (route) =>
      route.fulfill({ json: { email: 'a@example.com', role: 'member', tenant: 'Second', tenant_id: 7 } }),
    );
    await page.route('**/api/invitations/accept', (route) =>
      route.fulfill({ json: { success: true, tenant_id: 7 } }),
    );
    await page.goto(`${gateway.url}/invite#siv_7_token`);
    await page.getByLabel('Username').fill('ana');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    const answered = page.waitForResponse('**/api/login');
    await page.getByRole('button', { name: 'Join' }).click();
    await answered;
    expect(logins()).to.deep.equal([{ username: 'ana', password: PASSWORD, tenant_id: 7 }]);
    await page.goto(gateway.url);
    expect(await page.getByLabel('Organisation').inputValue()).to.equal('7');
  });
});
