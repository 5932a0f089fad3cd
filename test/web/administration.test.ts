import { expect } from 'chai';
import {
  enter,
  enterGranted,
  isIn,
  logIn,
  openAccount,
  openSection,
  useBrowser,
  type Visitor,
} from './browser.ts';
import { gatewayKind } from './config.ts';
import { invoice } from './samples.ts';

describe('web: administration', function () {
  this.timeout(90_000);
  const { visit } = useBrowser();
  // the gateway that keeps everything in memory has no administration
  before(function () {
    if (gatewayKind() === 'fake') this.skip();
  });

  async function administer(username: string): Promise<Visitor> {
    const visitor = await visit();
    await enterGranted(visitor, username);
    await visitor.gateway.makeAdmin(username);
    await visitor.page.reload();
    await openSection(visitor.page, 'People');
    return visitor;
  }

  it('a colleague is disabled, asked first, which ends their session, and enabled again', async () => {
    const colleague = await visit();
    await enter(colleague, 'besart');
    const { page } = await administer('arbnor');
    const card = page.getByRole('region', { name: 'Accounts of people' });
    await card.getByRole('listitem').filter({ hasText: 'arbnor' }).getByText('You').waitFor();
    await card.getByRole('button', { name: 'Disable besart' }).click();
    const dialog = page.getByRole('dialog', { name: 'Disable besart?' });
    await dialog.getByRole('button', { name: 'Go back' }).click();
    await dialog.waitFor({ state: 'detached' });
    await card.getByRole('button', { name: 'Disable besart' }).click();
    await dialog.getByRole('button', { name: 'Disable', exact: true }).click();
    await colleague.page.getByText('Your session has ended').waitFor();
    await card.getByRole('listitem').filter({ hasText: 'besart' }).getByText('Disabled').waitFor();
    await card.getByRole('button', { name: 'Enable besart' }).click();
    await card.getByRole('button', { name: 'Disable besart' }).waitFor();
    await logIn(colleague, 'besart');
    await isIn(colleague.page);
  });

  it('[S38] who one is is asked when the last proof is old; refusals stay in the question', async () => {
    const visitor = await administer('cufe');
    const { page, gateway } = visitor;
    const card = page.getByRole('region', { name: 'Accounts of people' });
    await card.getByRole('button', { name: 'Disable owner' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Disable', exact: true }).click();
    await page.getByRole('dialog').getByRole('alert').filter({ hasText: 'Only an owner' }).waitFor();
    await page.keyboard.press('Escape');
    await gateway.age('cufe');
    await card.getByRole('button', { name: 'Disable arbnor' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Disable', exact: true }).click();
    await page.getByRole('dialog', { name: 'Is it you?' }).waitFor();
  });

  it('a branch is disabled and enabled, and can be chosen for who is invited', async () => {
    const visitor = await administer('dode');
    const { page, gateway } = visitor;
    await gateway.push('branch-9', [invoice({ number: 'D-1' })]);
    await page.reload();
    const card = page.getByRole('region', { name: 'Registered branches and services' });
    await card.getByRole('button', { name: 'Disable branch-9' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Disable', exact: true }).click();
    await card.getByRole('button', { name: 'Enable branch-9' }).click();
    await card.getByRole('button', { name: 'Disable branch-9' }).waitFor();
    const invite = page.getByRole('region', { name: 'Invite somebody' });
    await invite.getByLabel('May see').fill('branch-9:reed');
    await invite.getByLabel('E-mail').fill('new@example.com');
    await invite.getByRole('button', { name: 'Send the invitation' }).click();
    await invite.getByText('only ":read" may follow').waitFor();
  });

  it('what an invitation came to is told until it is withdrawn', async () => {
    const { page } = await administer('enver');
    const invite = page.getByRole('region', { name: 'Invite somebody' });
    await invite.getByLabel('E-mail').fill('gone@example.com');
    await invite.getByRole('button', { name: 'Send the invitation' }).click();
    await invite.getByText('A link is on its way to gone@example.com').waitFor();
    await invite.getByRole('button', { name: 'Withdraw the invitation of gone@example.com' }).click();
    await invite.getByText('A link is on its way').waitFor({ state: 'detached' });
  });

  it('devices: one’s own by what they are, and those that are nobody’s, which are switched off', async () => {
    const second = await visit();
    const visitor = await administer('gazmend');
    const { page, gateway } = visitor;
    await logIn(second, 'gazmend');
    await isIn(second.page);
    await fetch(`${gateway.url}/api/v1/auth/device/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'Price checker' }),
    });
    await openAccount(page, 'Devices');
    const own = page.getByRole('region', { name: 'Your devices' }).getByRole('listitem');
    await own.filter({ hasText: 'Chrome on Linux' }).getByText('2 sessions').waitFor();
    const card = page.getByRole('region', { name: 'Anonymous devices' });
    await card.getByRole('button', { name: 'Disable Price checker' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Disable', exact: true }).click();
    await card.getByRole('button', { name: 'Enable Price checker' }).waitFor();
  });

  it('logins are counted for those who may read the audit log, and for nobody else', async () => {
    const visitor = await administer('hana');
    const { page } = visitor;
    await openAccount(page, 'Logins');
    await page.getByRole('img', { name: /^Attempts to log in since/ }).waitFor();
    expect(await page.getByRole('definition').first().innerText()).to.match(/^[1-9]/);
    await page.getByText('The numbers').click();
    expect(await page.getByRole('row').count()).to.be.within(24, 27);
    const other = await visit();
    await enter(other, 'ilirjan');
    await openAccount(other.page, 'Sessions');
    await other.page.getByText('This one').waitFor();
    expect(await other.page.getByRole('link', { name: 'Logins' }).count()).to.equal(0);
  });

  it('a role that may not see records is named as the cause', async () => {
    const visitor = await visit();
    await enter(visitor, 'fisnik');
    await visitor.page.route('**/auth/me', async (route) => {
      const answer = await route.fetch();
      const me = (await answer.json()) as { user: object };
      await route.fulfill({ json: { ...me, user: { ...me.user, role: 'clerk' }, scopes: ['chat'] } });
    });
    await visitor.page.reload();
    const note = visitor.page.getByRole('note');
    await note.getByText('Your role may not see records').waitFor();
    expect(await note.innerText())
      .to.contain('You are clerk here')
      .and.not.contain('--partition');
  });
});
