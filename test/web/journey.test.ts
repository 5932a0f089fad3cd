import { expect } from 'chai';
import { enter, enterGranted, isLive, openSection, useBrowser } from './browser.ts';
import { invoice, order, stock } from './samples.ts';

describe('web: a working day', function () {
  this.timeout(60_000);
  const { visit } = useBrowser();

  it('signs up, verifies, logs in, and is told whom to ask for what to see records', async () => {
    const visitor = await visit();
    await enter(visitor, 'arta');
    await visitor.page.getByText('npm run sluice -- admin users grant --username arta').waitFor();
    const note = visitor.page.getByRole('note');
    expect(await note.innerText()).to.contain('Ask whoever set up Sluice');
    expect(await note.evaluate((element) => element.scrollHeight - element.clientHeight)).to.equal(0);
    await visitor.gateway.grant('arta');
    await visitor.page.reload();
    await isLive(visitor.page);
    expect(visitor.problems).to.deep.equal([]);
  });

  it('says to the first that nobody has an account yet', async () => {
    const { page, gateway } = await visit();
    await page.route('**/api/signup', (route) => route.fulfill({ json: { first: true } }));
    await page.goto(gateway.url);
    await page.getByText('the first account becomes the owner').waitFor();
    await page.unroute('**/api/signup');
    await page.reload();
    await page.waitForLoadState('networkidle');
    expect(await page.getByText('the first account becomes the owner').count()).to.equal(0);
  });

  it('says what is wrong with a login and with a code, and sends a new code', async () => {
    const { page, gateway } = await visit();
    await page.goto(gateway.url);
    await page.getByLabel('Username or e-mail').fill('nobody');
    await page.getByLabel('Password', { exact: true }).fill('not the password');
    await page.getByRole('button', { name: 'Log in' }).click();
    expect(await page.getByRole('alert').innerText()).to.contain('wrong');
    await page.goto(`${gateway.url}/#/verify`);
    await page.getByLabel('Username').fill('nobody');
    await page.getByLabel('E-mail').fill('nobody@example.com');
    await page.getByLabel('Six-digit code').fill('code: 000 000');
    expect(await page.getByLabel('Six-digit code').inputValue()).to.equal('000000');
    await page.getByRole('button', { name: 'Verify' }).click();
    await page.getByRole('alert').filter({ hasText: 'code' }).waitFor();
    await page.getByRole('button', { name: 'Send a new code' }).click();
    await page.getByText('A new code is on its way').waitFor();
  });

  it('shows an invoice the moment a branch sends it, its lines, and the pace in the chart', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enterGranted(visitor, 'besa');
    await gateway.push('branch-1', [invoice({ number: 'A-100', total: '1234.50' })]);
    await gateway.push('branch-2', [invoice({ number: 'C-101', kind: 'credit', total: '-2.00' })]);
    const rows = page.getByRole('table', { name: 'Invoices' }).getByRole('row');
    await rows.filter({ hasText: 'C-101' }).waitFor();
    expect((await rows.nth(1).innerText()).split('\n').join(' ')).to.match(/C-101.*branch-2.*Credit.*−2.00/);
    expect(await rows.nth(2).innerText()).to.contain('1,234.50');
    await page.getByRole('img', { name: /since \d\d:\d\d: 2 in all/ }).waitFor();
    await page.getByRole('button', { name: /A-100/ }).click();
    await page.getByRole('dialog').getByText('WHITE HANGING HEART').waitFor();
    await page.keyboard.press('Escape');
    expect(await page.getByRole('dialog').count()).to.equal(0);
  });

  it('names the products of an invoice whose lines have codes alone, and keeps its total in view', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enterGranted(visitor, 'blerta');
    const lines = Array.from({ length: 60 }, () => ({ sku: 'CODE-1', quantity: 1, unitPrice: '2.1' }));
    await gateway.push('branch-1', [
      stock('branch-1', 'CODE-1', 9, 'Paper bunting'),
      invoice({ number: 'N-1', total: '126', lines }),
    ]);
    await page.getByRole('button', { name: /N-1/ }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('Paper bunting').first().waitFor();
    expect(await dialog.getByRole('row').nth(1).innerText()).to.match(/Paper bunting CODE-1\s+1\s+2\.10/);
    const [shown, total] = await Promise.all([
      dialog.boundingBox(),
      dialog.getByText('126.00').boundingBox(),
    ]);
    expect((total?.y ?? 0) + (total?.height ?? 0)).to.be.below((shown?.y ?? 0) + (shown?.height ?? 0));
  });

  it('counts invoices that came before it connected by their own time, and says so', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    const [now, unsure] = [new Date().toISOString(), '2010-12-01 08:26:00'];
    await gateway.push('branch-1', [
      invoice({ date: now }),
      invoice({ date: now }),
      invoice({ date: unsure }),
    ]);
    await enterGranted(visitor, 'dafina');
    await page.getByRole('img', { name: /last 60 minutes: 2 in all/ }).waitFor();
    await page.getByText(/until \d\d:\d\d by the time on the invoice/).waitFor();
    await gateway.push('branch-1', [invoice({ date: unsure })]);
    await page.getByRole('img', { name: /last 60 minutes: 3 in all/ }).waitFor();
    await page.reload();
    await isLive(page);
    await page.getByRole('img', { name: /last 60 minutes: 3 in all/ }).waitFor();
  });

  it('shows stock per branch with what is low or below zero, and orders with their status', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enterGranted(visitor, 'cen');
    await gateway.push('branch-1', [
      stock('branch-1', 'SKU-9', -2),
      order({ number: 'PO-7', status: 'placed' }),
    ]);
    await gateway.push('branch-2', [stock('branch-2', 'SKU-9', 40), stock('branch-2', 'SKU-8', 90)]);
    await openSection(page, 'Stock');
    const row = page.getByRole('row').filter({ hasText: 'SKU-9' });
    await row.filter({ hasText: '38' }).filter({ hasText: '−2 below 0' }).waitFor();
    await page.getByText('Below 0', { exact: true }).click();
    await page.getByRole('row').filter({ hasText: 'SKU-8' }).waitFor({ state: 'detached' });
    await openSection(page, 'Orders');
    await page.getByRole('row').filter({ hasText: 'PO-7' }).filter({ hasText: 'placed' }).waitFor();
  });

  it('chats: unread counts, live messages, sending, and a room of its own', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enterGranted(visitor, 'dea');
    await gateway.say('general', 'besnik', 'Is the lantern in?');
    const chat = page.getByRole('navigation', { name: 'Sections' }).getByRole('link', { name: 'Chat' });
    await chat.getByText('1 unread').waitFor();
    await chat.click();
    await page.getByRole('link', { name: 'General' }).click();
    await page.getByText('Is the lantern in?').waitFor();
    await page.getByLabel('Message to General').fill('Yes, forty of them');
    await page.keyboard.press('Enter');
    const mine = page.getByRole('article').filter({ hasText: 'Yes, forty of them' });
    await mine.filter({ hasText: 'dea' }).waitFor();
    await chat.getByText('unread').waitFor({ state: 'detached' });
    await page.getByLabel('New room').fill('Night shift');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByLabel('Message to Night shift').waitFor();
  });

  it('shows who is there, branches with what they have still to send, and sets my own status', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enterGranted(visitor, 'edi');
    await gateway.push('branch-7', [invoice()]);
    await openSection(page, 'People');
    // an agent's figures are renewed with its lease, every 10 s
    const agent = page.getByRole('listitem').filter({ hasText: 'branch-7' }).filter({ hasText: 'all sent' });
    await agent.waitFor({ timeout: 20_000 });
    await page.getByLabel('Account of edi').click();
    await page.getByLabel('My status').selectOption('busy');
    await page.getByRole('listitem').filter({ hasText: 'edi' }).filter({ hasText: 'Busy' }).waitFor();
  });
});
