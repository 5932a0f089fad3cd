import type { z } from 'zod';

/** What is wrong with a member of the configuration, for whoever wrote it; docs/AGENT.md, "Configuration", has them all. */

type Issue = Parameters<z.core.$ZodErrorMap>[0];

const NAMES: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list: [ … ]',
  object: 'an object: { … }',
  record: 'an object: { … }',
};

/** Undefined: what zod says will do. */
export const plainWords: z.core.$ZodErrorMap = (issue) => {
  if (issue.code === 'unrecognized_keys')
    return `does not know ${issue.keys.map((key) => `"${key}"`).join(', ')}`;
  if (issue.input === undefined) return 'is missing';
  if (issue.code === 'invalid_type') return kindFault(issue);
  if (issue.code === 'invalid_value') return `must be one of ${issue.values.map(String).join(', ')}`;
  if (issue.code === 'too_small' || issue.code === 'too_big') return sizeOf(issue);
  if (issue.code === 'invalid_key')
    return `has a name that will not do: ${issue.issues.map(({ message }) => message).join('; ')}`;
  return issue.code === 'invalid_format' ? formFault(issue) : undefined;
};

function kindFault({ expected, input }: Extract<Issue, { code: 'invalid_type' }>): string {
  if (expected === 'int' && typeof input === 'number') return 'must be a whole number';
  return `must be ${NAMES[expected] ?? expected}, not ${kindOf(input)}`;
}

function formFault({ format }: Extract<Issue, { code: 'invalid_format' }>): string {
  return format === 'url'
    ? 'must be an address such as https://sync.example.com'
    : 'has a form that is not allowed here';
}

function sizeOf(issue: Extract<Issue, { code: 'too_small' | 'too_big' }>): string {
  const isSmall = issue.code === 'too_small';
  const bound = isSmall ? issue.minimum : issue.maximum;
  if (issue.origin === 'string' || issue.origin === 'array') {
    if (isSmall && bound === 1) return 'must not be empty';
    const what = issue.origin === 'string' ? 'characters' : 'entries';
    return `must have ${isSmall ? 'at least' : 'at most'} ${bound} ${what}`;
  }
  return `must be ${isSmall ? 'at least' : 'at most'} ${bound}`;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return NAMES[typeof value] ?? typeof value;
}
