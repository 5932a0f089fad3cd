import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { createApp } from '../../server/app.ts';
import type { App } from '../../server/app.ts';
import { parseConfig } from '../../server/config.ts';
import { createLogger } from '../../server/log.ts';
import { createDatabase } from '../support/database.ts';
import { PASSWORD, useBrowser } from './browser.ts';

describe('web: a gateway that has become suspicious', function () {
  this.timeout(60_000);
  const { visit } = useBrowser();
  let app: App;
  let dataDir: string;
  before(async function () {
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-work-'));
    const config = parseConfig({
      ...{ DATABASE_URL: await createDatabase(), DATA_DIR: dataDir, PORT: '0' },
      // the first sign-up and the first forgotten password pass, the next do not
      ...{ PROOF_OF_WORK_AFTER: '1', PROOF_OF_WORK_COST: '500' },
    });
    app = await createApp({ config, log: createLogger('silent'), console: new PassThrough().resume() });
  });
  after(async () => {
    await app.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  it('[S30] [S64] the page does the work by itself, under its policy: sign-up, login, forgotten password', async () => {
    const { page } = await visit();
    const answers: string[] = [];
    const violations: string[] = [];
    const stranger = (await visit()).page;
    for (const one of [page, stranger])
      one.on('response', (response) => {
        if (response.request().method() === 'POST')
          answers.push(`${new URL(response.url()).pathname} ${response.status()}`);
      });
    page.on('console', (message) => {
      if (message.text().includes('Content Security Policy')) violations.push(message.text());
    });
    const post = (path: string, body: object): Promise<Response> =>
      fetch(app.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    await post('/api/signup', { username: 'first', email: 'first@example.com', password: PASSWORD });
    await post('/api/password/forgot', { email: 'first@example.com' });

    await page.goto(app.url);
    await page.getByRole('link', { name: 'Sign up' }).click();
    await page.getByLabel('Username').fill('ana');
    await page.getByLabel('E-mail').fill('ana@example.com');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Sign up' }).click();
    await page.getByLabel('Six-digit code').waitFor();

    await app.db.sql('UPDATE users SET verified_at = now()');
    await post('/api/login', { username: 'nobody', password: 'wrong' });
    await page.goto(`${app.url}/login`);
    await page.getByLabel('Username or e-mail').fill('ana');
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Log in', exact: true }).click();
    await page.getByRole('navigation', { name: 'Sections' }).waitFor();

    await stranger.goto(app.url);
    await stranger.getByRole('link', { name: /forgot/i }).click();
    await stranger.getByLabel('E-mail', { exact: true }).fill('ana@example.com');
    await stranger.getByRole('button', { name: 'Send a code' }).click();
    await stranger.waitForURL('**/reset');

    expect(answers).to.include.members(['/api/signup 428', '/api/signup 201']);
    expect(answers).to.include.members(['/api/login 428', '/api/login 200']);
    expect(answers).to.include.members(['/api/password/forgot 428', '/api/password/forgot 200']);
    expect(violations).to.deep.equal([]);
  });
});
