import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { build } from 'vite';

const SDK = new URL('../../sdk/', import.meta.url).pathname;

describe('sdk in a browser', () => {
  it('bundles with Vite, and nothing of Node is reachable from sdk/index.ts', async function () {
    this.timeout(60_000);
    const directory = mkdtempSync(join(tmpdir(), 'sluice-bundle-'));
    const entry = join(directory, 'entry.ts');
    writeFileSync(entry, `export * from ${JSON.stringify(join(SDK, 'index.ts'))};`);
    const warnings: string[] = [];
    await build({
      configFile: false,
      logLevel: 'warn',
      customLogger: loggerInto(warnings),
      root: directory,
      build: {
        lib: { entry, formats: ['es'], fileName: 'sdk' },
        outDir: join(directory, 'out'),
        minify: true,
      },
    });
    const file = readdirSync(join(directory, 'out')).find((name) => name.endsWith('js')) ?? '';
    const code = readFileSync(join(directory, 'out', file));
    rmSync(directory, { recursive: true });
    expect(warnings.filter((warning) => /externalized|node:/.test(warning))).to.deep.equal([]);
    expect(code.toString()).to.not.match(/["']node:|photostructure|__vite-browser-external/);
    expect(gzipSync(code).length).to.be.below(80 * 1024);
  });

  it('only connection.ts knows Socket.IO, and only the file store and private keys know Node', () => {
    const using = (pattern: RegExp): string[] =>
      readdirSync(SDK).filter((name) => pattern.test(readFileSync(join(SDK, name), 'utf8')));
    expect(using(/from 'socket\.io/)).to.deep.equal(['connection.ts']);
    expect(using(/from '(node:|@photostructure)/)).to.deep.equal([
      'file-meta.ts',
      'file-origin.ts',
      'file-store.ts',
      'file-tables.ts',
      'private-key.ts',
    ]);
  });
});

function loggerInto(
  warnings: string[],
): NonNullable<NonNullable<Parameters<typeof build>[0]>['customLogger']> {
  const warn = (message: string): void => void warnings.push(message);
  const quiet = (): void => undefined;
  return {
    hasWarned: false,
    info: quiet,
    warn,
    warnOnce: warn,
    error: warn,
    clearScreen: quiet,
    hasErrorLogged: () => false,
  };
}
