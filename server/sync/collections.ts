import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ValidateFunction } from 'ajv';
import { COLLECTIONS } from '../../protocol/collections.ts';
import type { CollectionDefinition } from '../../protocol/collections.ts';
import type { InputFault } from '../../protocol/errors.ts';
import type { RecordData } from '../../protocol/sync.ts';

/** A collection as the gateway uses it: its definition and its compiled schema. */
export interface Collection extends CollectionDefinition {
  /** Says what does not fit the schema, or nothing. */
  findFault(data: RecordData): InputFault | undefined;
}

export type Collections = ReadonlyMap<string, Collection>;

/** Compiles the built-in collections once, at start. */
export function createCollections(): Collections {
  const ajv = new Ajv2020({ strict: false, allErrors: false });
  return new Map(
    COLLECTIONS.map((definition) => {
      const validate = ajv.compile(definition.schema);
      return [definition.name, { ...definition, findFault: (data: RecordData) => faultOf(validate, data) }];
    }),
  );
}

function faultOf(validate: ValidateFunction, data: RecordData): InputFault | undefined {
  if (validate(data)) return undefined;
  const [error] = validate.errors ?? [];
  const missing = error?.keyword === 'required' ? `/${String(error.params['missingProperty'])}` : '';
  const path = `${error?.instancePath ?? ''}${missing}`.slice(1).replaceAll('/', '.');
  return { path, message: error?.message ?? 'does not fit the schema' };
}
