import { existsSync } from 'node:fs';

/** A Chromium to drive, if the machine has one. */
export function findChromium(): string | undefined {
  return [process.env['CHROMIUM_PATH'], '/usr/bin/chromium'].find(
    (path): path is string => path !== undefined && path !== '' && existsSync(path),
  );
}

/** The real gateway, unless WEB_TEST_GATEWAY is `fake`: to work on the page without one. */
export function gatewayKind(): 'real' | 'fake' {
  return process.env['WEB_TEST_GATEWAY'] === 'fake' ? 'fake' : 'real';
}
