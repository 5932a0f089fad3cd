// Writes what is said in code and wanted in docs: .env.example, docs/CONFIGURATION.md, docs/ERRORS.md and docs/COLLECTIONS.md.
// With --check it writes nothing and fails when a file is not what it would write.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ERRORS } from '../protocol/errors.ts';
import { environment } from '../server/config.ts';
import { collectionsPage } from './collections-page.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const settings = Object.entries(environment.shape).map(([name, schema]) => ({
  name,
  meaning: [schema.description ?? schema.meta?.()?.description ?? '', choicesOf(schema)].join(' ').trim(),
  fallback: defaultOf(schema),
}));
const retry = { never: 'do not repeat it', later: 'try again later', auth: 'authenticate first' };

const files = {
  '.env.example': [
    '# Every setting with its default. An empty value counts as left out. Made by `npm run reference`.',
    ...settings.map(
      ({ name, meaning, fallback }) =>
        `\n# ${meaning}\n${fallback === undefined ? '#' : ''}${name}=${fallback ?? ''}`,
    ),
    '',
  ].join('\n'),
  'docs/CONFIGURATION.md': [
    '# Configuration',
    '',
    'Settings come from the environment. Every fault is listed at once, with exit code 78, and nothing is started.',
    'This page is made from `server/config.ts` by `npm run reference`.',
    '',
    'A duration is a number and its unit: `30s`, `15m`, `12h`, `7d`. A bare number counts seconds, unless the line says milliseconds.',
    '',
    '| setting | default | meaning |',
    '|---|---|---|',
    ...settings.map(
      ({ name, meaning, fallback }) =>
        `| \`${name}\` | ${fallback ? `\`${fallback}\`` : ''} | ${meaning.replaceAll('|', '\\|')} |`,
    ),
    '',
  ].join('\n'),
  'docs/COLLECTIONS.md': collectionsPage(),
  'docs/ERRORS.md': [
    '# Errors',
    '',
    'Every refusal a client can see, over HTTP (`application/problem+json`, RFC 9457) or in an acknowledgement.',
    'This page is made from `protocol/errors.ts` by `npm run reference`.',
    '',
    '| code | HTTP | what to do | meaning |',
    '|---|---|---|---|',
    ...Object.entries(ERRORS).map(
      ([code, entry]) =>
        `| \`${code}\` | ${entry.status} | ${retry[entry.retry]} | ${entry.message.replaceAll('|', '\\|')} |`,
    ),
    '',
  ].join('\n'),
};

let stale = 0;
for (const [name, text] of Object.entries(files)) {
  const path = join(root, name);
  const now = read(path);
  if (now === text) continue;
  stale += 1;
  if (process.argv.includes('--check'))
    process.stderr.write(`${name} is not up to date: npm run reference\n`);
  else writeFileSync(path, text);
}
if (stale > 0 && process.argv.includes('--check')) process.exit(1);

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function defaultOf(schema) {
  const parsed = schema.safeParse(undefined);
  if (!parsed.success || parsed.data === undefined) return undefined;
  if (typeof parsed.data === 'object') return '';
  const unitMs = durationUnitOf(schema);
  return unitMs === undefined ? String(parsed.data) : durationText(parsed.data * unitMs);
}

/** Milliseconds of what a duration is parsed to; undefined: it is no duration. */
function durationUnitOf(schema) {
  const minute = schema.safeParse('1m');
  return minute.success && typeof minute.data === 'number' ? 60_000 / minute.data : undefined;
}

function durationText(ms) {
  const [unit, length] = Object.entries({ d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000 }).find(
    ([, each]) => ms % each === 0,
  ) ?? ['ms', 1];
  return `${ms / length}${unit}`;
}

/** What a setting may be, when that is one of a few words. */
function choicesOf(schema) {
  const { options } = schema.unwrap?.() ?? schema;
  return Array.isArray(options) && options.every((one) => typeof one === 'string')
    ? `One of ${options.map((one) => `\`${one}\``).join(', ')}.`
    : '';
}
