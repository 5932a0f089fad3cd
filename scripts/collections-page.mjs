// docs/COLLECTIONS.md: the fields, values and steps of each collection, as protocol/collections.ts has them.
import { COLLECTIONS } from '../protocol/collections.ts';

const policies = {
  append_only: 'a record is written once and stays; a correction is a record of its own',
  merge: 'changes of different fields are merged, increments add up',
  reject_stale: 'a change names the version it was made on, and none that is older is taken',
  last_write: 'the last change wins',
  states: 'a put names the version it was made on, and the state takes the steps below alone',
};

/** The whole page. */
export function collectionsPage() {
  return [
    '# Collections',
    '',
    'What the gateway takes, field by field. What does not fit is refused with `schema_violation` and the path of the field.',
    'Further fields are kept as they are. This page is made from `protocol/collections.ts` by `npm run reference`.',
    '',
    'Where the tables of a shop have other words or another form of dates, the mapping of the agent translates them',
    '([AGENT.md](AGENT.md#words-and-dates-of-your-own)).',
    ...COLLECTIONS.flatMap(sectionOf),
    '',
  ].join('\n');
}

function sectionOf({ name, policy, schema, states, numbered }) {
  return [
    '',
    `## ${name}`,
    '',
    `Policy \`${policy}\`: ${policies[policy]}.${numbered ? ' Only the gateway writes it.' : ''}`,
    '',
    '| field | required | what it holds |',
    '|---|---|---|',
    ...fieldRows(schema, ''),
    ...(states ? stepRows(states) : []),
  ];
}

function fieldRows({ properties = {}, required = [] }, prefix) {
  const names = [...new Set([...Object.keys(properties), ...required])];
  return names.flatMap((name) => {
    const schema = properties[name] ?? {};
    const row = `| \`${prefix}${name}\` | ${required.includes(name) ? 'yes' : ''} | ${meaningOf(schema)} |`;
    return [row, ...(schema.items ? fieldRows(schema.items, `${prefix}${name}[].`) : [])];
  });
}

function meaningOf(schema) {
  if (schema.enum) return `one of ${schema.enum.map((value) => `\`${value}\``).join(', ')}`;
  if (schema.description) return schema.description;
  if (schema.type === 'string') return `text, up to ${schema.maxLength} characters`;
  if (schema.type === 'array') return `a list, up to ${schema.maxItems} entries`;
  return { number: 'a number', integer: 'a whole number', object: 'an object' }[schema.type] ?? 'anything';
}

function stepRows({ field, steps }) {
  const rows = Object.entries(steps).map(
    ([from, to]) => `| \`${from}\` | ${to.map((one) => `\`${one}\``).join(', ') || 'none: it ends there'} |`,
  );
  return [
    '',
    `A new record may begin with any \`${field}\`; after that:`,
    '',
    '| from | to |',
    '|---|---|',
    ...rows,
  ];
}
