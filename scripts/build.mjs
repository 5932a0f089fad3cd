// Builds dist/: the server, the clients and the tools with tsc, the page with Vite. With --if-stale it does nothing
// when no source is newer than the last build, so that a second start is quick. --server-only leaves out the page.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const node = ['protocol', 'entities', 'migrations', 'server', 'sdk', 'agent', 'client-cli', 'demo', 'bench'];
const settings = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
const ifStale = process.argv.includes('--if-stale');

const parts = [
  {
    name: 'server, clients and tools',
    sources: [...node, ...settings],
    stamp: 'dist/.built-node',
    run: () => {
      for (const folder of node) rmSync(join(root, 'dist', folder), { recursive: true, force: true });
      command('typescript/bin/tsc', '-p', 'tsconfig.build.json');
    },
  },
  {
    name: 'page',
    sources: ['web', 'sdk', 'protocol', ...settings],
    stamp: 'dist/.built-web',
    run: () => command('vite/bin/vite.js', 'build', '--config', 'web/vite.config.ts', '--logLevel', 'warn'),
  },
];

for (const part of parts) {
  if (part.name === 'page' && process.argv.includes('--server-only')) continue;
  if (ifStale && !isStale(part)) continue;
  const started = Date.now();
  process.stderr.write(`building the ${part.name} …\n`);
  part.run();
  writeFileSync(join(root, part.stamp), '');
  process.stderr.write(`built the ${part.name} in ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
}

function isStale({ sources, stamp }) {
  const built = join(root, stamp);
  if (!existsSync(built)) return true;
  const limit = statSync(built).mtimeMs;
  return sources.some((source) => newest(join(root, source)) > limit);
}

function newest(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

function command(script, ...args) {
  const { status, error } = spawnSync(process.execPath, [join(root, 'node_modules', script), ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  if (error) throw error;
  if (status !== 0) {
    process.stderr.write(`the build failed: ${script} ended with ${status}\n`);
    process.exit(1);
  }
}
