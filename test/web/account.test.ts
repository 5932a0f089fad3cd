import { expect } from 'chai';
import {
  enter,
  isIn,
  logIn,
  openAccount,
  openSection,
  PASSWORD,
  useBrowser,
  type Visitor,
} from './browser.ts';

const NEW_PASSWORD = 'another long sentence of my own';

describe('web: your account', function () {
  this.timeout(90_000);
  const { visit } = useBrowser();

  it('changes the display name and keeps it', async () => {
    const visitor = await visit();
    const { page, problems } = visitor;
    await enter(visitor, 'albana');
    await openAccount(page, 'Profile');
    await page.getByText('albana', { exact: true }).last().waitFor();
    await page.getByLabel('Display name').fill('Albana Ëndërr');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved.').waitFor();
    await page.reload();
    await page.getByLabel('Display name').waitFor();
    expect(await page.getByLabel('Display name').inputValue()).to.equal('Albana Ëndërr');
    await page.getByLabel('Account of albana').getByText('Albana Ëndërr').waitFor();
    await openSection(page, 'People');
    const entry = page.getByRole('region', { name: 'People', exact: true }).getByRole('listitem');
    await entry.filter({ hasText: /Albana Ëndërr albana/ }).waitFor();
    await openSection(page, 'Chat');
    await page.getByRole('link', { name: 'General' }).click();
    await page.getByLabel('Message to General').fill('Good morning');
    await page.keyboard.press('Enter');
    await page.getByRole('article').filter({ hasText: 'Albana Ëndërr albana' }).waitFor();
    expect(problems).to.deep.equal([]);
  });

  it('changes the address with a code from each of both', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enter(visitor, 'bardha');
    const first = await gateway.codeFor('bardha@example.com');
    await openAccount(page, 'Profile');
    const card = page.getByRole('region', { name: 'E-mail' });
    await card.getByRole('button', { name: 'Change' }).click();
    await card.getByLabel('New address').fill('bardha@example.net');
    await card.getByRole('button', { name: 'Send both codes' }).click();
    const old = card.getByLabel('Code sent to bardha@example.com');
    await old.fill(await gateway.codeFor('bardha@example.com', first));
    await card.getByLabel('Code sent to bardha@example.net').fill('000000');
    await card.getByRole('button', { name: 'Change the address' }).click();
    await card.getByRole('alert').filter({ hasText: 'code is wrong' }).waitFor();
    await card
      .getByLabel('Code sent to bardha@example.net')
      .fill(await gateway.codeFor('bardha@example.net'));
    await card.getByRole('button', { name: 'Change the address' }).click();
    await card.getByText('bardha@example.net').waitFor();
    await card.getByText('Changed.').waitFor();
  });

  it('changes the password: a wrong one is told, and the other sessions end', async () => {
    const [here, there] = [await visit(), await visit()];
    await enter(here, 'cuca');
    await logIn(there, 'cuca');
    await isIn(there.page);
    const { page } = here;
    await openAccount(page, 'Logging in');
    const card = page.getByRole('region', { name: 'Password' });
    await card.getByLabel('Current password').fill('not my password');
    await card.getByLabel('New password').fill(NEW_PASSWORD);
    await card.getByRole('button', { name: 'Change the password' }).click();
    await card.getByText('That is not your password').waitFor();
    await card.getByLabel('Current password').fill(PASSWORD);
    await card.getByRole('button', { name: 'Change the password' }).click();
    await card.getByText('Changed. Your other sessions have ended.').waitFor();
    await there.page.getByText('Your session has ended').waitFor();
    await logIn(there, 'cuca', NEW_PASSWORD);
    await isIn(there.page);
  });

  it('lists where one is logged in, ends one session, and all others', async () => {
    const [here, second, third] = [await visit(), await visit(), await visit()];
    await enter(here, 'drita');
    for (const other of [second, third]) {
      await logIn(other, 'drita');
      await isIn(other.page);
    }
    const { page } = here;
    await openAccount(page, 'Sessions');
    const entries = page.getByRole('region', { name: 'Where you are logged in' }).getByRole('listitem');
    await entries.nth(2).waitFor();
    const first = await entries.first().innerText();
    expect(first)
      .to.match(/Chrome on Linux/)
      .and.match(/127\.0\.0\.1 · in use · 2 open connections/);
    expect(first)
      .to.match(/This one/)
      .and.match(/Since .*, \d\d:\d\d · with password/)
      .and.match(/May do all that you may/);
    await entries.nth(1).getByRole('button', { name: 'End Chrome on Linux' }).click();
    await entries.nth(2).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'End all others' }).click();
    await page.getByText('One session has ended').waitFor();
    for (const other of [second, third]) await other.page.getByText('Your session has ended').waitFor();
    expect(await entries.count()).to.equal(1);
  });

  it('closes the account, asked twice, and says so', async () => {
    const visitor = await visit();
    const { page } = visitor;
    await enter(visitor, 'elira');
    await openAccount(page, 'Profile');
    await page.getByRole('button', { name: 'Close my account…' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Keep it' }).click();
    await dialog.waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Close my account…' }).click();
    await dialog.getByRole('button', { name: 'Close my account' }).click();
    await page.getByText('Your account is closed').waitFor();
    await page.waitForFunction(async () => (await indexedDB.databases()).length === 0);
    expect(await page.getByText('Your session has ended').count()).to.equal(0);
    await logIn(visitor, 'elira');
    await page.getByRole('alert').waitFor();
  });

  it('says why somebody may not, in the words of the gateway', async () => {
    const visitor = await visit();
    const { page } = visitor;
    await enter(visitor, 'elona');
    await openAccount(page, 'Profile');
    const message = 'The last owner stays: make somebody else an owner first.';
    await page.route('**/api/account/deactivate', (route) =>
      route.fulfill({ status: 403, json: { status: 403, code: 'forbidden', detail: message } }),
    );
    await page.getByRole('button', { name: 'Close my account…' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Close my account' }).click();
    await dialog.getByRole('alert').filter({ hasText: message }).waitFor();
  });

  describe('asks who one is', () => {
    async function wantsAddress({ page }: Visitor): Promise<void> {
      await openAccount(page, 'Profile');
      await page.getByRole('button', { name: 'Change', exact: true }).click();
      await page.getByLabel('New address').fill('elsewhere@example.net');
      await page.getByRole('button', { name: 'Send both codes' }).click();
      await page.getByRole('dialog', { name: 'Is it you?' }).waitFor();
    }

    it('[S38] before a dangerous act, then does it by itself', async () => {
      const visitor = await visit();
      const { page, gateway } = visitor;
      await enter(visitor, 'fitore');
      await gateway.age('fitore');
      const calls: string[] = [];
      page.on('request', (request) => {
        if (/email-change|reauthenticate|refresh/.test(request.url()))
          calls.push(new URL(request.url()).pathname);
      });
      await wantsAddress(visitor);
      const dialog = page.getByRole('dialog', { name: 'Is it you?' });
      await dialog.getByLabel('Password', { exact: true }).fill('not my password');
      await dialog.getByRole('button', { name: 'Go on' }).click();
      await dialog.getByText('That is not your password').waitFor();
      await dialog.getByLabel('Password', { exact: true }).fill(PASSWORD);
      await dialog.getByRole('button', { name: 'Go on' }).click();
      await dialog.waitFor({ state: 'detached' });
      await page.getByLabel('Code sent to elsewhere@example.net').waitFor();
      expect(calls).to.deep.equal([
        '/api/email-change',
        '/api/reauthenticate',
        '/api/reauthenticate',
        '/api/email-change',
      ]);
    });

    it('and does nothing, without a fault, when one goes back', async () => {
      const visitor = await visit();
      const { page, gateway } = visitor;
      await enter(visitor, 'gezim');
      await gateway.age('gezim');
      await wantsAddress(visitor);
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
      await page.getByRole('button', { name: 'Send both codes' }).waitFor();
      expect(await page.getByRole('alert').count()).to.equal(0);
      expect(await page.getByLabel('New address').inputValue()).to.equal('elsewhere@example.net');
    });
  });
});
