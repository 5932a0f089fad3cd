import { chromium, type Browser, type Page } from 'playwright-core';
import { buildPage } from './build.ts';
import { findChromium } from './config.ts';
import { startGateway, type GatewayUnderTest } from './gateway.ts';

export interface Visitor {
  page: Page;
  gateway: GatewayUnderTest;
  /** Uncaught errors, console errors and refusals by the content security policy. */
  problems: string[];
  /** Addresses asked for outside the gateway. */
  strangers: string[];
}

const PASSWORD = 'a long sentence nobody guesses';

const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Gives a describe block a gateway and a browser; without a Chromium its tests are skipped, and it says why. */
export function useBrowser(): { visit: (options?: { width?: number }) => Promise<Visitor> } {
  let browser: Browser | undefined;
  let gateway: GatewayUnderTest | undefined;

  before(async function () {
    this.timeout(60_000);
    const executablePath = findChromium();
    if (executablePath === undefined) {
      process.stderr.write('      skipped: no Chromium at CHROMIUM_PATH or /usr/bin/chromium\n');
      this.skip();
    }
    await buildPage();
    gateway = await startGateway();
    browser = await chromium.launch({ executablePath, args: ARGS });
  });
  afterEach(async () => {
    await Promise.all((browser?.contexts() ?? []).map((context) => context.close()));
  });
  after(async function () {
    this.timeout(30_000);
    await browser?.close();
    await gateway?.close();
  });

  return {
    async visit({ width = 1280 } = {}) {
      if (!browser || !gateway) throw new Error('visit() belongs into a test');
      const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme: 'light' });
      const page = await context.newPage();
      page.setDefaultTimeout(10_000);
      return watch(page, gateway);
    },
  };
}

/** Signs up, verifies and logs in, all through the page. */
export async function enter({ page, gateway }: Visitor, username: string): Promise<void> {
  const email = `${username}@example.com`;
  await page.goto(gateway.url);
  await page.getByRole('link', { name: 'Sign up' }).click();
  await page.getByLabel('Username').fill(username);
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign up' }).click();
  await page.getByLabel('Six-digit code').waitFor();
  await page.getByLabel('Six-digit code').fill(await gateway.codeFor(email));
  await page.getByRole('button', { name: 'Verify' }).click();
  await page.getByText('Your address is verified').waitFor();
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('navigation', { name: 'Sections' }).waitFor();
}

/** The same, with every branch granted, until the page is live. */
export async function enterGranted(visitor: Visitor, username: string): Promise<void> {
  await enter(visitor, username);
  await visitor.gateway.grant(username);
  await visitor.page.reload();
  await isLive(visitor.page);
}

export async function isLive(page: Page): Promise<void> {
  await page.getByLabel('Connection: Live').waitFor();
}

export async function openSection(page: Page, name: string): Promise<void> {
  await page.getByRole('navigation', { name: 'Sections' }).getByRole('link', { name }).click();
}

function watch(page: Page, gateway: GatewayUnderTest): Visitor {
  const problems: string[] = [];
  const strangers: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    // A visitor without a session is told so by a 401: the browser reports it on its own.
    const expected = message.text().includes('status of 401');
    if (message.type() === 'error' && !expected) problems.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(gateway.url)) strangers.push(request.url());
  });
  return { page, gateway, problems, strangers };
}
