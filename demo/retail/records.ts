import { parse } from 'csv-parse/sync';
import type { PhysicalLine } from './lines.ts';

/** One record of the file: its columns, or the reason why it has none. `line` is where it begins. */
export type RawRecord =
  | { line: number; fields: string[] }
  | { line: number; text: string; fault: 'broken_quote' | 'line_too_long' };

export interface RecordAssembler {
  push(line: PhysicalLine): void;
  end(): void;
}

/** A quoted description may span lines, but not this many: beyond, its closing quote is missing. */
const MAX_LINES_PER_RECORD = 20;

/**
 * Puts physical lines together to CSV records (RFC 4180) of `width` columns.
 *
 * A CSV parser that meets an opening quote without its closing one swallows every following row up to the next quote:
 * rows would be lost without a trace. So a record spanning several lines is accepted only if it parses strictly and none
 * of its lines could be a row by itself (fewer than `width` pieces between commas). Else its first line alone is
 * refused as `broken_quote`, and reading resumes on the very next line.
 */
export function createRecordAssembler(width: number, emit: (record: RawRecord) => void): RecordAssembler {
  let pending: PhysicalLine[] = [];

  function push(line: PhysicalLine): void {
    if (pending.length === 0 && !line.text.includes('"') && !line.overlong) {
      emit({ line: line.number, fields: line.text.split(',') });
      return;
    }
    pending.push(line);
    if (isRecordComplete()) settle();
    else if (isHopeless(line)) refuseFirst();
  }

  /** Outside a quoted field quotes come in pairs, doubled ones included. */
  function isRecordComplete(): boolean {
    const quotes = pending.reduce((sum, { text }) => sum + text.split('"').length - 1, 0);
    return quotes % 2 === 0;
  }

  function isHopeless(line: PhysicalLine): boolean {
    return line.overlong || pending.length >= MAX_LINES_PER_RECORD || line.text.split(',').length >= width;
  }

  function settle(): void {
    const first = pending[0];
    const swallowsRow = pending.length > 1 && pending.some(({ text }) => text.split(',').length >= width);
    const overlong = pending.some((line) => line.overlong);
    const fields =
      swallowsRow || overlong ? undefined : parseRecord(pending.map(({ text }) => text).join('\n'));
    if (!first || !fields) {
      refuseFirst();
      return;
    }
    pending = [];
    emit({ line: first.number, fields });
  }

  function refuseFirst(): void {
    const [first, ...rest] = pending;
    pending = [];
    if (!first) return;
    emit({ line: first.number, text: first.text, fault: first.overlong ? 'line_too_long' : 'broken_quote' });
    rest.forEach(push);
  }

  return {
    push,
    end() {
      while (pending.length > 0) refuseFirst();
    },
  };
}

/** The columns of one record, or nothing if its quoting is broken. */
export function parseRecord(text: string): string[] | undefined {
  try {
    const records: string[][] = parse(text);
    return records.length === 1 ? records[0] : undefined;
  } catch {
    return undefined;
  }
}
