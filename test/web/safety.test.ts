import { expect } from 'chai';
import { enterGranted, openSection, useBrowser } from './browser.ts';
import { invoice, order, stock } from './samples.ts';

const IMAGE = `<img src=x onerror="window.pwned=1">`;
const SCRIPT = `"><script>window.pwned=1</script>`;

describe('web: what others write is text', function () {
  this.timeout(60_000);
  const { visit } = useBrowser();

  it('[S64] in chat messages and room titles', async () => {
    const visitor = await visit();
    const { page, gateway, problems } = visitor;
    await enterGranted(visitor, 'kaltrina');
    await gateway.say('general', 'lule', `${IMAGE} ${SCRIPT} [x](javascript:alert(1))`);
    await openSection(page, 'Chat');
    await page.getByRole('link', { name: 'General' }).click();
    await page.getByText(IMAGE).waitFor();
    await page.getByLabel('New room').fill(SCRIPT);
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('heading', { name: SCRIPT }).waitFor();
    await page.getByLabel(`Message to ${SCRIPT}`).fill(IMAGE);
    await page.keyboard.press('Enter');
    await page.getByRole('article').filter({ hasText: IMAGE }).filter({ hasText: 'kaltrina' }).waitFor();
    expect(await page.evaluate(() => 'pwned' in window)).to.equal(false);
    expect(problems).to.deep.equal([]);
  });

  it('[S64] in records and in the names of branches', async () => {
    const visitor = await visit();
    const { page, gateway, problems } = visitor;
    await enterGranted(visitor, 'mira');
    const lines = [{ sku: SCRIPT, quantity: 1, unitPrice: '1.00', description: IMAGE }];
    await gateway.push(IMAGE, [invoice({ number: IMAGE, customer: SCRIPT, lines })]);
    await gateway.push(IMAGE, [stock('x', SCRIPT, 1, IMAGE), order({ number: IMAGE, customer: SCRIPT })]);
    await page.getByRole('button', { name: IMAGE }).click();
    await page.getByRole('dialog').getByText(SCRIPT).first().waitFor();
    await page.keyboard.press('Escape');
    await openSection(page, 'Stock');
    await page.getByRole('row').filter({ hasText: SCRIPT }).waitFor();
    await openSection(page, 'Orders');
    await page.getByRole('row').filter({ hasText: IMAGE }).waitFor();
    await openSection(page, 'People');
    await page.getByRole('listitem').filter({ hasText: IMAGE }).waitFor();
    expect(await page.evaluate(() => 'pwned' in window)).to.equal(false);
    expect(problems).to.deep.equal([]);
  });

  it('[S64] shows records with properties it does not know, and without lines', async () => {
    const visitor = await visit();
    const { page, gateway, problems } = visitor;
    await enterGranted(visitor, 'nora');
    // Properties that no schema names are allowed.
    const odd = invoice({ number: 'ODD-1', extra: { deep: [1] }, lines: [] });
    await gateway.push('branch-1', [odd]);
    await page.getByRole('button', { name: 'ODD-1' }).click();
    await page.getByRole('dialog').getByText('Total').waitFor();
    expect(problems).to.deep.equal([]);
  });

  it('asks nobody but the gateway, under a policy without unsafe-inline and unsafe-eval', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    const answer = await page.goto(gateway.url);
    const policy = answer?.headers()['content-security-policy'] ?? '';
    expect(policy).to.contain("default-src 'self'").and.not.to.contain('unsafe');
    await enterGranted(visitor, 'olta');
    for (const section of ['Stock', 'Orders', 'Chat', 'People', 'Invoices']) await openSection(page, section);
    await page.getByRole('img', { name: /Invoices per minute/ }).waitFor();
    expect(visitor.problems).to.deep.equal([]);
    expect(visitor.strangers).to.deep.equal([]);
  });
});
