import { expect } from 'chai';
import { enter, isIn, logIn, openSection, PASSWORD, useBrowser, type Visitor } from './browser.ts';

const NEW_PASSWORD = 'another long sentence of my own';
const IMAGE = `<img src=x onerror="window.pwned=1">`;

async function postForm(url: string, form: Record<string, string>): Promise<Record<string, unknown>> {
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form) });
  return (await response.json()) as Record<string, unknown>;
}

describe('web: a forgotten password', function () {
  this.timeout(60_000);
  const { visit } = useBrowser();

  it('is replaced with a code that is mailed', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enter(visitor, 'rezarta');
    const other = await visit();
    const first = await gateway.codeFor('rezarta@example.com');
    await other.page.goto(gateway.url);
    await other.page.getByRole('link', { name: 'Forgot your password?' }).click();
    await other.page.getByLabel('E-mail').fill('rezarta@example.com');
    await other.page.getByRole('button', { name: 'Send a code' }).click();
    await other.page.getByText('If rezarta@example.com has an account here').waitFor();
    await other.page.getByLabel('New password').fill(NEW_PASSWORD);
    await other.page.getByLabel('Six-digit code').fill('000000');
    await other.page.getByRole('button', { name: 'Change the password' }).click();
    await other.page.getByRole('alert').waitFor();
    await other.page.getByLabel('Six-digit code').fill(await gateway.codeFor('rezarta@example.com', first));
    await other.page.getByRole('button', { name: 'Change the password' }).click();
    await other.page.getByText('Your password is changed').waitFor();
    await page.getByText('Your session has ended').waitFor();
    await logIn(other, 'rezarta', NEW_PASSWORD);
    await isIn(other.page);
  });

  it('[S29] answers the same for an address that has no account', async () => {
    const { page, gateway, problems } = await visit();
    await page.goto(`${gateway.url}/#/forgot`);
    await page.getByLabel('E-mail').fill('nobody.at.all@example.com');
    await page.getByRole('button', { name: 'Send a code' }).click();
    await page.getByText('If nobody.at.all@example.com has an account here').waitFor();
    expect(problems).to.deep.equal([]);
  });
});

describe('web: an invitation', function () {
  this.timeout(60_000);
  const { visit } = useBrowser();

  async function invite({ page }: Visitor, email: string): Promise<void> {
    await openSection(page, 'People');
    const card = page.getByRole('region', { name: 'Invite somebody' });
    await card.getByLabel('E-mail').fill(email);
    await card.getByLabel('Role').selectOption('auditor');
    await card.getByRole('button', { name: 'Send the invitation' }).click();
    await card.getByText(`A link is on its way to ${email}`).waitFor();
    await card.getByRole('listitem').filter({ hasText: email }).waitFor();
  }

  it('is sent from the people page, withdrawn there, or accepted by its link', async () => {
    const admin = await visit();
    const { gateway } = admin;
    await enter(admin, 'sabri');
    await gateway.makeAdmin('sabri');
    await admin.page.reload();
    await invite(admin, 'tefik@example.com');
    await invite(admin, 'ujku@example.com');
    await admin.page.getByRole('button', { name: 'Withdraw the invitation of ujku@example.com' }).click();
    await admin.page.getByText('ujku@example.com · ').waitFor({ state: 'detached' });

    const guest = await visit();
    await guest.page.goto(await gateway.inviteFor('tefik@example.com'));
    await guest.page.getByText('You are invited to').waitFor();
    // the invitation is not left in the address
    expect(guest.page.url()).to.equal(`${gateway.url}/#/invite`);
    await guest.page.reload();
    await guest.page.getByText('tefik@example.com').waitFor();
    await guest.page.getByLabel('Username').fill('tefik');
    await guest.page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await guest.page.getByRole('button', { name: 'Join' }).click();
    await guest.page.getByRole('region', { name: 'Invoices', exact: true }).waitFor();
    expect(guest.page.url()).to.equal(`${gateway.url}/#/invoices`);
    expect(guest.problems).to.deep.equal([]);

    const late = await visit();
    await late.page.goto(await gateway.inviteFor('ujku@example.com'));
    await late.page.getByRole('alert').filter({ hasText: 'withdrawn' }).waitFor();
  });

  it('leads to the login when the account is made and the login is not', async () => {
    const { page, gateway } = await visit();
    const json = { email: 'a@example.com', role: 'member', tenant: 'Depot', tenant_id: 1 };
    await page.route('**/api/invitations/look', (route) => route.fulfill({ json }));
    await page.route('**/api/invitations/accept', (route) => route.fulfill({ json: { success: true } }));
    await page.goto(`${gateway.url}/invite#siv_1_token`);
    await page.getByLabel('Username').fill('valdete');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Join' }).click();
    await page.getByText('Your account is made. Log in to go on.').waitFor();
    expect(await page.getByLabel('Username or e-mail').inputValue()).to.equal('valdete');
  });

  it('[S64] with a link that somebody made up is refused as text', async () => {
    const { page, gateway } = await visit();
    await page.goto(`${gateway.url}/invite#${encodeURIComponent(IMAGE)}`);
    await page.getByRole('alert').waitFor();
    expect(await page.evaluate(() => 'pwned' in window)).to.equal(false);
  });
});

describe('web: a terminal that asks', function () {
  this.timeout(60_000);
  const { visit } = useBrowser();

  async function asks({ gateway }: Visitor, hint?: string) {
    const named = hint === undefined ? {} : { login_hint: hint };
    const form = { client_id: 'sluice-cli', ...named };
    const { device_code: deviceCode, user_code: userCode } = await postForm(
      `${gateway.url}/oauth/device_authorization`,
      form,
    );
    const poll = (): Promise<Record<string, unknown>> =>
      postForm(`${gateway.url}/oauth/token`, {
        grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
        client_id: 'sluice-cli',
        device_code: String(deviceCode),
      });
    return { userCode: String(userCode), poll };
  }

  it('is let in by its link, after a login', async () => {
    const visitor = await visit();
    const { page, gateway, problems } = visitor;
    await enter(visitor, 'vjosa');
    await page.getByLabel('Account of vjosa').click();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByText('You are logged out').waitFor();
    const { userCode, poll } = await asks(visitor);
    await page.goto(`${gateway.url}/device#${userCode}`);
    await page.getByText('A terminal asks to be let in').waitFor();
    await page.getByLabel('Username or e-mail').fill('vjosa');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    // to be compared first
    await page.getByRole('textbox', { name: 'Code' }).waitFor();
    expect(await page.getByRole('textbox', { name: 'Code' }).inputValue()).to.equal(userCode);
    expect(page.url()).not.to.contain(userCode);
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByText('127.0.0.1').waitFor();
    await page.getByRole('button', { name: 'Approve' }).click();
    await page.getByRole('status').filter({ hasText: 'The terminal is logged in' }).waitFor();
    expect(await poll()).to.have.property('access_token');
    expect(problems).to.deep.equal([]);
  });

  it('is told to an open page, and refused there', async () => {
    const visitor = await visit();
    const { page } = visitor;
    await enter(visitor, 'xhevdet');
    await page.getByLabel('Connection: Live').waitFor();
    const { userCode, poll } = await asks(visitor, 'xhevdet');
    await page.getByText('A terminal asks to be let in as you').waitFor();
    await page.getByRole('button', { name: 'Look at it' }).click();
    expect(await page.getByRole('textbox', { name: 'Code' }).inputValue()).to.equal(userCode);
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByRole('button', { name: 'Deny' }).click();
    await page.getByText('Nothing was let in').waitFor();
    expect(await poll()).to.include({ error: 'access_denied' });
  });

  it('with a wrong code is not found, however it is typed', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enter(visitor, 'yllka');
    await page.goto(`${gateway.url}/device`);
    await page.getByRole('textbox', { name: 'Code' }).pressSequentially('bcdf ghjk');
    expect(await page.getByRole('textbox', { name: 'Code' }).inputValue()).to.equal('BCDF-GHJK');
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByRole('alert').filter({ hasText: 'code is wrong' }).waitFor();
  });
});
