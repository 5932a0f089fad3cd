import type { InputFault } from './errors.ts';

/** What a validator of JSON Schema says of a fault (ajv's, with `verbose`). */
export interface SchemaFault {
  keyword: string;
  /** JSON pointer of the value. */
  instancePath: string;
  params: Record<string, unknown>;
  message?: string | undefined;
  /** The schema that the keyword stands in. */
  parentSchema?: Record<string, unknown> | undefined;
}

/** A fault in plain words: the dotted path, and what is allowed there. */
export function toInputFault(fault: SchemaFault): InputFault {
  const missing = fault.keyword === 'required' ? `/${String(fault.params['missingProperty'])}` : '';
  const path = `${fault.instancePath}${missing}`.slice(1).replaceAll('/', '.');
  return { path, message: messageOf(fault) };
}

function messageOf({ keyword, message, params, parentSchema = {} }: SchemaFault): string {
  const { description, enum: values } = parentSchema;
  if (keyword === 'required') return 'is missing';
  if (keyword === 'minLength' && params['limit'] === 1) return 'must not be empty';
  if (keyword === 'enum' && Array.isArray(values)) return `must be one of ${values.map(String).join(', ')}`;
  if (typeof description === 'string') return `must be ${description}`;
  return message ?? 'does not fit the schema';
}
