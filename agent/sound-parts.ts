import type { z } from 'zod';

/** What is left of a value when everything that a schema finds fault with is taken out; undefined: nothing that fits. */
export function soundParts<T>(schema: z.ZodType<T>, value: unknown): T | undefined {
  let left = structuredClone(value);
  // each round takes out at least one part
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const parsed = schema.safeParse(left);
    if (parsed.success) return parsed.data;
    const paths = parsed.error.issues.flatMap((issue) => pathsOf(issue, left));
    left = compact(paths.reduce((rest, path) => remove(rest, path), left));
  }
  return undefined;
}

const MOST_ROUNDS = 20;

type Path = readonly PropertyKey[];

/** What is missing cannot be taken out: then what it is missing from. */
function pathsOf(issue: z.core.$ZodIssue, value: unknown): Path[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => [...issue.path, key]);
  return [at(value, issue.path) === undefined ? issue.path.slice(0, -1) : issue.path];
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, name) => (inner as Record<PropertyKey, unknown> | null)?.[name], value);
}

/** In a list an empty place stays until all of a round are taken out: their paths count the places. */
function remove(value: unknown, [name, ...rest]: Path): unknown {
  if (name === undefined) return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value))
    return value.map((one: unknown, place) => (place === name ? remove(one, rest) : one));
  return { ...value, [name]: remove((value as Record<PropertyKey, unknown>)[name], rest) };
}

function compact(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.filter((one) => one !== undefined).map(compact);
  const members = Object.entries(value).filter(([, one]) => one !== undefined);
  return Object.fromEntries(members.map(([name, one]) => [name, compact(one)]));
}
