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

export interface Visit {
  width?: number;
  /** Passkeys want a name. */
  host?: 'localhost';
}

export const PASSWORD = 'a long sentence nobody guesses';

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
export function useBrowser(): { visit: (options?: Visit) => Promise<Visitor> } {
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
    async visit({ width = 1280, host = '127.0.0.1' } = {}) {
      if (!browser || !gateway) throw new Error('visit() belongs into a test');
      const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme: 'light' });
      const page = await context.newPage();
      // two suites side by side on two cores take their time
      page.setDefaultTimeout(25_000);
      return watch(page, { ...gateway, url: gateway.url.replace('127.0.0.1', host) });
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
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
  await page.getByRole('navigation', { name: 'Sections' }).waitFor();
}

/** Logs in as somebody who has entered before. */
export async function logIn(
  { page, gateway }: Visitor,
  username: string,
  password = PASSWORD,
): Promise<void> {
  await page.goto(gateway.url);
  await page.getByLabel('Username or e-mail').fill(username);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
}

/** Until the page behind the login is there. */
export async function isIn(page: Page): Promise<void> {
  await page.getByRole('navigation', { name: 'Sections' }).waitFor();
}

export async function openAccount(
  page: Page,
  tab: 'Profile' | 'Logging in' | 'Sessions' | 'Devices' | 'Logins',
): Promise<void> {
  await page.getByLabel(/^Account of/).click();
  await page.getByRole('link', { name: 'Your account' }).click();
  await page.getByRole('navigation', { name: 'Your account' }).getByRole('link', { name: tab }).click();
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
    if (message.type() === 'error') problems.push(`${message.text()} ${message.location().url}`);
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(gateway.url)) strangers.push(request.url());
  });
  return { page, gateway, problems, strangers };
}
