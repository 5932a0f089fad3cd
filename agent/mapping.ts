import { z } from 'zod';
import { collectionName } from '../protocol/sync.ts';
import { DATE_FORMS } from './local-dates.ts';

/**
 * How the tables of a local database become records and back: all of it named in the configuration, nothing in code.
 * docs/AGENT.md explains each key with an example.
 */

const identifier = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\u0000]+$/u)
  .refine((name) => !/^(sluice_|sqlite_)/i.test(name), 'names that begin with sluice_ or sqlite_ are taken');
const template = z.string().min(1).describe('A record id: text with ${column}; ${partition} is the branch.');

/**
 * `cents`: whole cents here, a decimal string such as "12.50" there. `unix`: seconds here; the forms of dates: that form
 * here, ISO 8601 there.
 */
const CONVERSIONS = ['text', 'number', 'cents', 'unix', ...DATE_FORMS] as const;
const conversion = {
  as: z.enum(CONVERSIONS).optional(),
  /** Words of the one side to words of the other; what is not named goes through `as`. */
  values: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
};
const CONVERSION_TEXT = `"as": ${CONVERSIONS.map((one) => `"${one}"`).join(' or ')}, "values": {"theirs": "ours"}`;

/** A column as it is, or with a conversion. */
const column = z.union(
  [
    identifier.transform((name): ColumnConversion => ({ column: name })),
    z.strictObject({ column: identifier, ...conversion }),
  ],
  `must be the name of a column (not sluice_… or sqlite_…), or {"column": …, ${CONVERSION_TEXT}}`,
);
const fields = z.record(z.string().min(1), column);
const constants = z.record(z.string(), z.unknown()).default({});
const columns = z.array(identifier).min(1);

const lines = z.strictObject({
  table: identifier,
  key: columns,
  /** The columns that hold the head's key, in its order. */
  parent: columns,
  /** The field of the record that becomes the list. */
  field: z.string().min(1),
  orderBy: columns.optional(),
  fields,
});

const movements = z.strictObject({
  table: identifier,
  key: columns,
  parent: columns,
  collection: collectionName,
  id: template,
  /** Fields and the columns that are added to them. */
  increment: z.record(z.string().min(1), column),
  /** What a record begins with that is not known at the centre: constants, its own columns, a look-up. */
  create: z.strictObject({
    constants,
    fields: fields.default({}),
    lookup: z
      .strictObject({ table: identifier, on: z.record(identifier, identifier), fields })
      .optional()
      .describe('`on`: column of the looked-up table to column of the movement.'),
  }),
});

const act = z.strictObject({
  name: z.string().min(1).max(60),
  table: identifier,
  key: columns,
  collection: collectionName,
  id: template,
  fields,
  constants,
  lines: z.array(lines).default([]),
  movements: z.array(movements).default([]),
});

const record = z.strictObject({
  name: z.string().min(1).max(60),
  table: identifier,
  key: columns,
  collection: collectionName,
  id: template,
  fields,
  constants,
  /** Movements add to the same records: whichever comes first creates them. */
  shared: z.boolean().default(false),
  onDelete: z.enum(['ignore', 'delete']).default('ignore'),
});

/** A field as it is, or with a conversion; `$partition` and `$id` are the record's own. */
const source = z.union(
  [
    z
      .string()
      .min(1)
      .transform((name): FieldConversion => ({ field: name })),
    z.strictObject({ field: z.string().min(1), ...conversion }),
  ],
  `must be the name of a field of the record, or {"field": …, ${CONVERSION_TEXT}}; the column stands before it`,
);

const down = z
  .strictObject({
    collection: collectionName,
    /** A table of the ERP, or with `replica` one that the agent makes: its name gets the prefix `sluice_`. */
    table: identifier,
    replica: z.boolean().default(false),
    partitions: z.enum(['own', 'others', 'all']),
    /** Column to field. */
    columns: z.record(identifier, source),
    /** Columns (among `columns`) that find the row of an ERP table. */
    key: columns.optional(),
    insert: z.boolean().default(false),
  })
  .superRefine((value, context) => {
    const { key, replica, columns: named } = value;
    if (replica && key)
      context.addIssue({ code: 'custom', message: 'a replica has its own key', path: ['key'] });
    if (!replica && !key)
      context.addIssue({ code: 'custom', message: 'an ERP table needs a key', path: ['key'] });
    for (const name of key ?? []) {
      if (!(name in named))
        context.addIssue({ code: 'custom', message: `${name} is not among columns`, path: ['key'] });
    }
  });

export const mapping = z.strictObject({
  acts: z
    .array(act)
    .default([])
    .describe('Business acts: a head with its lines and movements, one batch each.'),
  records: z.array(record).default([]).describe('Tables whose rows are records by themselves.'),
  down: z.array(down).default([]).describe('Where the records of the centre go.'),
});

export type Mapping = z.infer<typeof mapping>;
export type ActMapping = z.infer<typeof act>;
export type LinesMapping = z.infer<typeof lines>;
export type MovementsMapping = z.infer<typeof movements>;
export type RecordMapping = z.infer<typeof record>;
export type DownMapping = z.infer<typeof down>;
export type ColumnSpec = z.infer<typeof column>;

/** How a value is translated between a column and a field. */
export interface Conversion {
  as?: (typeof CONVERSIONS)[number] | undefined;
  values?: Record<string, string | number | boolean> | undefined;
}
type ColumnConversion = Conversion & { column: string };
type FieldConversion = Conversion & { field: string };

/** A table that is watched: the columns that are captured of it. */
export interface SourceTable {
  table: string;
  key: readonly string[];
  columns: readonly string[];
}

/** Every watched table with the columns that any part of the mapping needs. Throws when two parts disagree on a key. */
export function sourcesOf({ acts, records }: Mapping): SourceTable[] {
  const sources = new Map<string, { table: string; key: string[]; columns: Set<string> }>();
  const watch = (part: { table: string; key: string[] }, needed: Iterable<string>): void => {
    const known = sources.get(part.table) ?? { table: part.table, key: part.key, columns: new Set<string>() };
    if (known.key.join() !== part.key.join())
      throw new TypeError(`the table ${part.table} is mapped twice, with different keys`);
    for (const name of [...part.key, ...needed]) known.columns.add(name);
    sources.set(part.table, known);
  };
  for (const one of [...acts, ...records]) watch(one, [...templateColumns(one.id), ...columnsOf(one.fields)]);
  for (const { lines: lists, movements: moves } of acts) {
    for (const one of lists) watch(one, [...one.parent, ...(one.orderBy ?? []), ...columnsOf(one.fields)]);
    for (const one of moves) watch(one, movementColumns(one));
  }
  return [...sources.values()].map(({ columns: names, ...rest }) => ({ ...rest, columns: [...names] }));
}

/** Columns named in a record id. */
export function templateColumns(text: string): string[] {
  return [...text.matchAll(/\$\{([^}]*)\}/g)]
    .map((match) => match[1] ?? '')
    .filter((name) => name !== 'partition');
}

function movementColumns({ parent, id, increment, create }: MovementsMapping): string[] {
  return [
    ...parent,
    ...templateColumns(id),
    ...columnsOf(increment),
    ...columnsOf(create.fields),
    ...Object.values(create.lookup?.on ?? {}),
  ];
}

function columnsOf(specs: Record<string, ColumnSpec>): string[] {
  return Object.values(specs).map((spec) => spec.column);
}
