import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { Secret, TOTP } from 'otpauth';
import type { Page } from 'playwright-core';
import { encode } from 'uqr';
import { enter, isIn, logIn, openAccount, PASSWORD, useBrowser, type Visitor } from './browser.ts';

/** A code counts once: the next one is of the next half minute. */
function codeOf(secret: string, ahead = 0): string {
  const timestamp = Date.now() + ahead * 30_000;
  return TOTP.generate({ secret: Secret.fromBase32(secret), timestamp });
}

async function logOut(page: Page): Promise<void> {
  await page.getByLabel(/^Account of/).click();
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByText('You are logged out').waitFor();
}

/** Turns codes on, up to the recovery codes. */
async function turnOn({ page }: Visitor): Promise<{ secret: string; codes: string[] }> {
  await openAccount(page, 'Logging in');
  const card = page.getByRole('region', { name: 'Authenticator app' });
  await card.getByRole('button', { name: 'Set up' }).click();
  const secret = (await card.locator('pre').innerText()).replaceAll(' ', '');
  await card.getByLabel('The code it shows now').fill(codeOf(secret));
  await card.getByRole('button', { name: 'Turn on' }).click();
  const kept = page.getByRole('region', { name: 'Your recovery codes' });
  await kept.waitFor();
  return { secret, codes: await kept.getByRole('listitem').allInnerTexts() };
}

describe('web: codes of an app', function () {
  this.timeout(90_000);
  const { visit } = useBrowser();

  it('draws the QR code itself, as an app reads it', async () => {
    const visitor = await visit();
    const { page, problems } = visitor;
    await enter(visitor, 'hava');
    await openAccount(page, 'Logging in');
    await page.getByRole('button', { name: 'Set up' }).click();
    await page.getByRole('img', { name: 'QR code' }).waitFor();
    const uri = await page.getByRole('link', { name: 'open the app on this device' }).getAttribute('href');
    const path = await page.locator('.qr-ink').getAttribute('d');
    const { data } = encode(uri ?? '', { ecc: 'M', border: 4 });
    const dark = new Set((path ?? '').match(/\d+ \d+/g));
    const wanted = data.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? [`${x} ${y}`] : [])));
    expect(uri).to.match(/^otpauth:\/\/totp\/.*hava/);
    expect([...dark]).to.have.members(wanted);
    expect(problems).to.deep.equal([]);
  });

  it('gives recovery codes once, to copy and to save; they let in in place of the app', async () => {
    const visitor = await visit();
    const { page, problems } = visitor;
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await enter(visitor, 'ilira');
    const { codes } = await turnOn(visitor);
    expect(codes).to.have.length(10);
    await page.getByRole('button', { name: 'Copy the recovery codes' }).click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).to.contain(codes.join('\n'));
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Save as a file' }).click(),
    ]);
    expect(await readFile(await download.path(), 'utf8')).to.contain(codes.join('\n'));
    await page.getByRole('button', { name: 'I have kept them' }).click();
    await page.getByRole('region', { name: 'Recovery codes' }).getByText('10 left').waitFor();
    expect(await page.getByText(codes[0] ?? '').count()).to.equal(0);
    expect(problems).to.deep.equal([]);
    await logOut(page);
    await logIn(visitor, 'ilira');
    await page.getByRole('heading', { name: 'One more step' }).waitFor();
    await page.getByLabel('Code of your authenticator app').fill('000000');
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await page.getByRole('alert').filter({ hasText: 'The code is wrong' }).waitFor();
    await page.getByRole('button', { name: 'Use a recovery code' }).click();
    await page.getByLabel('Recovery code').fill(codes[3]?.toUpperCase() ?? '');
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await isIn(page);
    await openAccount(page, 'Logging in');
    await page.getByRole('region', { name: 'Recovery codes' }).getByText('9 left').waitFor();
  });

  it('prints the recovery codes alone', async () => {
    const visitor = await visit();
    const { page } = visitor;
    await enter(visitor, 'jeta');
    const { codes } = await turnOn(visitor);
    await page.emulateMedia({ media: 'print' });
    const seen = await page.locator('body').innerText();
    for (const code of codes) expect(seen).to.contain(code);
    expect(seen).not.to.match(/Invoices|Current password|I have kept them/);
  });

  it('logs in with a code, asks for the factor before a change of it, and turns it off', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enter(visitor, 'kujtim');
    const { secret, codes } = await turnOn(visitor);
    await page.getByRole('button', { name: 'I have kept them' }).click();
    await logOut(page);
    await logIn(visitor, 'kujtim');
    await page.getByLabel('Code of your authenticator app').fill(codeOf(secret, 1));
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await isIn(page);
    await gateway.age('kujtim');
    await openAccount(page, 'Logging in');
    await page.getByRole('button', { name: 'Make new ones' }).click();
    const dialog = page.getByRole('dialog', { name: 'Is it you?' });
    // the password would not do
    expect(await dialog.getByLabel('Password').count()).to.equal(0);
    await dialog.getByRole('button', { name: 'Use a recovery code' }).click();
    await dialog.getByLabel('Recovery code').fill(codes[0] ?? '');
    await dialog.getByRole('button', { name: 'Go on' }).click();
    const kept = page.getByRole('region', { name: 'Your recovery codes' });
    await kept.waitFor();
    const [renewed] = await kept.getByRole('listitem').allInnerTexts();
    expect(codes).not.to.include(renewed);
    const card = page.getByRole('region', { name: 'Authenticator app' });
    await card.getByRole('button', { name: 'Turn off…' }).click();
    await card.getByRole('button', { name: 'Use a recovery code' }).click();
    await card.getByLabel('Recovery code').fill(renewed ?? '');
    await card.getByRole('button', { name: 'Turn off', exact: true }).click();
    await card.getByRole('button', { name: 'Set up' }).waitFor();
    expect(await page.getByRole('region', { name: 'Recovery codes', exact: true }).count()).to.equal(0);
  });
});

/** A key of the machine's own, which Chromium asks instead of the person, and which always agrees. */
async function giveAuthenticator(page: Page): Promise<void> {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
}

/** As in a browser that does not offer them beside the username: there the machine's key would agree at once. */
async function withoutAutofill(page: Page): Promise<void> {
  await page.addInitScript(
    'PublicKeyCredential.isConditionalMediationAvailable = () => Promise.resolve(false)',
  );
}

describe('web: passkeys', function () {
  this.timeout(90_000);
  const { visit } = useBrowser();

  it('[S64] are added, named, used to log in and to say who one is, and removed', async () => {
    const visitor = await visit({ host: 'localhost' });
    const { page, gateway, problems } = visitor;
    await giveAuthenticator(page);
    await enter(visitor, 'liridon');
    await openAccount(page, 'Logging in');
    const card = page.getByRole('region', { name: 'Passkeys' });
    await card.getByRole('button', { name: 'Add a passkey' }).click();
    await card.getByText('Chrome on Linux').waitFor();
    await page.getByRole('region', { name: 'Your recovery codes' }).waitFor();
    await page.getByRole('button', { name: 'I have kept them' }).click();
    await card.getByRole('button', { name: 'Rename Chrome on Linux' }).click();
    await card.getByLabel('Name of the passkey').fill('<img src=x onerror="window.pwned=1">');
    await card.getByRole('button', { name: 'Save' }).click();
    await card.getByText('<img src=x onerror="window.pwned=1">').waitFor();
    await gateway.age('liridon');
    await card.getByRole('button', { name: /^Remove/ }).click();
    await card.getByRole('button', { name: 'Remove it' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Use a passkey' }).click();
    await card.getByRole('listitem').waitFor({ state: 'detached' });
    expect(await page.evaluate(() => 'pwned' in window)).to.equal(false);
    // the refusal that the dialog answered
    expect(problems.filter((problem) => !problem.includes('401'))).to.deep.equal([]);
  });

  async function addPasskey({ page }: Visitor): Promise<void> {
    await openAccount(page, 'Logging in');
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByRole('button', { name: 'I have kept them' }).click();
  }

  it('log in without a password, and stand in for the code after one', async () => {
    const visitor = await visit({ host: 'localhost' });
    const { page } = visitor;
    await withoutAutofill(page);
    await giveAuthenticator(page);
    await enter(visitor, 'majlinda');
    await addPasskey(visitor);
    await logOut(page);
    await page.getByRole('button', { name: 'Log in with a passkey' }).click();
    await isIn(page);
    await openAccount(page, 'Sessions');
    await page.getByText(/with passkey/).waitFor();
    await logOut(page);
    await page.getByLabel('Username or e-mail').fill('majlinda');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await isIn(page);
  });

  it('are offered by the browser where the username is typed', async () => {
    const visitor = await visit({ host: 'localhost' });
    const { page } = visitor;
    await giveAuthenticator(page);
    await enter(visitor, 'natyra');
    await addPasskey(visitor);
    await page.getByLabel(/^Account of/).click();
    await page.getByRole('button', { name: 'Log out' }).click();
    // nobody presses anything: the machine's key agrees as soon as it is asked
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
    await isIn(page);
  });

  it('are not offered under a bare address: the page says where', async () => {
    const visitor = await visit();
    const { page } = visitor;
    await enter(visitor, 'nazmi');
    await openAccount(page, 'Logging in');
    const link = page.getByRole('region', { name: 'Passkeys' }).getByRole('link');
    expect(await link.getAttribute('href')).to.match(/^http:\/\/localhost:\d+$/);
    expect(await page.getByRole('button', { name: 'Add a passkey' }).count()).to.equal(0);
  });
});
