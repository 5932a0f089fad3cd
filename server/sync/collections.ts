import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ValidateFunction } from 'ajv';
import { COLLECTIONS } from '../../protocol/collections.ts';
import type { CollectionDefinition } from '../../protocol/collections.ts';
import type { InputFault } from '../../protocol/errors.ts';
import { toInputFault } from '../../protocol/schema-fault.ts';
import type { RecordData } from '../../protocol/sync.ts';

/** A collection as the gateway uses it: its definition and its compiled schema. */
export interface Collection extends CollectionDefinition {
  /** Says what does not fit the schema, or nothing. */
  findFault(data: RecordData): InputFault | undefined;
  /** Fields that every record has. */
  required: readonly string[];
}

export type Collections = ReadonlyMap<string, Collection>;

/** Compiles the built-in collections once, at start. */
export function createCollections(): Collections {
  const ajv = new Ajv2020({ strict: false, allErrors: false, verbose: true });
  return new Map(
    COLLECTIONS.map((definition) => {
      const validate = ajv.compile(definition.schema);
      const required = (definition.schema.required ?? []) as string[];
      const findFault = (data: RecordData): InputFault | undefined => faultOf(validate, data);
      return [definition.name, { ...definition, findFault, required }];
    }),
  );
}

function faultOf(validate: ValidateFunction, data: RecordData): InputFault | undefined {
  if (validate(data)) return undefined;
  const [error] = validate.errors ?? [];
  return error ? toInputFault(error) : { path: '', message: 'does not fit the schema' };
}
