// Holds docs/PROTOCOL.md and the tests together: every rule is cited in a test's title, every cited rule exists.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const spec = readFileSync(join(root, 'docs/PROTOCOL.md'), 'utf8');
const rules = [...spec.matchAll(/^- \*\*([A-Z]+\d+)\*\* /gm)].map((match) => match[1]);
const groups = new Set([...spec.matchAll(/^## ([A-Z]+)\. /gm)].map((match) => match[1]));

const cited = new Map();
for (const file of readdirSync(join(root, 'test'), { recursive: true })) {
  if (!file.endsWith('.test.ts')) continue;
  const text = readFileSync(join(root, 'test', file), 'utf8');
  for (const [, rule, group] of text.matchAll(/\[(([A-Z]+)\d+)\]/g))
    if (groups.has(group)) cited.set(rule, [...(cited.get(rule) ?? []), file]);
}

const faults = [
  ...rules
    .filter((rule, i) => rules.indexOf(rule) !== i)
    .map((rule) => `${rule} stands twice in docs/PROTOCOL.md`),
  ...rules.filter((rule) => !cited.has(rule)).map((rule) => `${rule} has no test that cites it`),
  ...[...cited]
    .filter(([rule]) => !rules.includes(rule))
    .map(([rule, files]) => `${rule} is no rule, but ${files[0]} cites it`),
];
for (const fault of faults) process.stderr.write(`${fault}\n`);
if (faults.length === 0) process.stdout.write(`${rules.length} rules, each with a test\n`);
process.exitCode = faults.length === 0 ? 0 : 1;
