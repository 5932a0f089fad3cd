import { expect } from 'chai';
import { audit, lowContrast, unnamed } from './audit.ts';
import { enter, isLive, openSection, useBrowser } from './browser.ts';
import { invoice } from './samples.ts';

describe('web: an installation without records', function () {
  this.timeout(60_000);
  const { visit } = useBrowser();

  it('tells whoever runs it how to connect a branch and to let others see it, until records come', async () => {
    const visitor = await visit({ width: 390 });
    const { page, gateway } = visitor;
    await enter(visitor, 'valon');
    await gateway.makeAdmin('valon');
    await page.reload();
    await isLive(page);
    const steps = page.getByRole('region', { name: 'First steps' });
    await steps.getByText('admin clients create --name "Branch 12" --partition branch-12').waitFor();
    await steps.getByText(`--url ${gateway.url}`).first().waitFor();
    await steps.getByText('npm run agent -- run --config agent.json').waitFor();
    await steps.getByText("admin users grant --username NAME --partition '*:read'").waitFor();
    expect(await audit(page, lowContrast)).to.deep.equal([]);
    expect(await audit(page, unnamed)).to.deep.equal([]);
    await openSection(page, 'Stock');
    await steps.waitFor();
    await openSection(page, 'Invoices');
    await gateway.push('branch-1', [invoice({ number: 'FIRST-1' })]);
    await page.getByRole('button', { name: /FIRST-1/ }).waitFor();
    expect(await steps.count()).to.equal(0);
    await openSection(page, 'People');
    await page.getByRole('region', { name: 'Rights' }).getByText('admin users grant').waitFor();
    expect(visitor.problems).to.deep.equal([]);
  });
});
