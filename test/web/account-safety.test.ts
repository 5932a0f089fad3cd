import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { enter, isIn, openAccount, openSection, PASSWORD, useBrowser } from './browser.ts';

const IMAGE = `<img src=x onerror="window.pwned=1">`;
const PATHS = ['/auth/refresh', '/auth/logout', '/api/account/deactivate'];
const SCRIPT = `"><script>window.pwned=1</script>`;

describe('web: the account among strangers', function () {
  this.timeout(60_000);
  const { visit } = useBrowser();
  let stranger: Server;
  let strangerUrl = '';

  before(async () => {
    stranger = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<title>stranger</title>');
    });
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    // another port is another origin, and the same site: the strictest cookie goes along
    strangerUrl = `http://127.0.0.1:${(stranger.address() as AddressInfo).port}`;
  });
  after(() => new Promise((resolve) => stranger.close(resolve)));

  it("[S60] another page's requests and forms, cookie and all, do nothing to the account", async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enter(visitor, 'vlora');
    const bad = await page.context().newPage();
    await bad.goto(strangerUrl);
    const headers = [
      { 'content-type': 'application/json', 'x-sluice-web': '1' },
      { 'content-type': 'text/plain' },
    ];
    const calls = [...PATHS, '/api/sessions/end-others'].flatMap((path) =>
      headers.map((one) => ({ url: gateway.url + path, headers: one })),
    );
    const outcomes = await bad.evaluate(
      (all) =>
        Promise.all(
          all.map(({ url, ...rest }) =>
            fetch(url, { method: 'POST', credentials: 'include', body: '{}', ...rest }).then(
              (response) => `read ${response.status}`,
              () => 'not readable',
            ),
          ),
        ),
      calls,
    );
    expect(new Set(outcomes)).to.deep.equal(new Set(['not readable']));
    for (const path of PATHS) {
      await bad.goto(strangerUrl);
      await bad.evaluate((action) => {
        const form = Object.assign(document.createElement('form'), { action, method: 'POST' });
        document.body.append(form);
        form.submit();
      }, gateway.url + path);
      await bad.waitForURL(gateway.url + path);
      expect(await bad.locator('body').innerText(), path).to.match(/"success":false|unauthenticated/);
    }
    await page.reload();
    await isIn(page);
    await openAccount(page, 'Sessions');
    await page.getByText('This one').waitFor();
  });

  it('[S60] the account cannot be shown inside a page of others', async () => {
    const visitor = await visit();
    const { page, gateway } = visitor;
    await enter(visitor, 'zamira');
    const bad = await page.context().newPage();
    await bad.goto(strangerUrl);
    await bad.evaluate((url) => {
      const frame = Object.assign(document.createElement('iframe'), { src: `${url}/#/account` });
      document.body.append(frame);
      return new Promise((resolve) => frame.addEventListener('load', resolve));
    }, gateway.url);
    const shown = bad.frames().map((frame) => frame.url());
    expect(shown.some((url) => url.startsWith(gateway.url))).to.equal(false);
  });

  it('[S64] what devices and people say of themselves is text', async () => {
    const visitor = await visit();
    const { page, gateway, problems } = visitor;
    await enter(visitor, 'agron');
    await gateway.makeAdmin('agron');
    for (const app of [IMAGE, undefined])
      await fetch(`${gateway.url}/api/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'user-agent': SCRIPT },
        body: JSON.stringify({ username: 'agron', password: PASSWORD, app }),
      });
    await page.reload();
    await openAccount(page, 'Sessions');
    await page.getByText(IMAGE).waitFor();
    await page.getByRole('listitem').filter({ hasText: '">' }).first().waitFor();
    await openAccount(page, 'Profile');
    await page.getByLabel('Display name').fill(IMAGE);
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved.').waitFor();
    await openSection(page, 'People');
    await page.getByLabel('E-mail').fill('"<img/src=x/onerror=window.pwned=1>"@example.com');
    await page.getByRole('button', { name: 'Send the invitation' }).click();
    await page.goto(`${gateway.url}/device#${encodeURIComponent(SCRIPT)}`);
    await page.getByRole('textbox', { name: 'Code' }).waitFor();
    expect(await page.evaluate(() => 'pwned' in window)).to.equal(false);
    expect(problems.filter((problem) => !/\b400\b/.test(problem))).to.deep.equal([]);
  });
});
