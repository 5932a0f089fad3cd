/** Dates as a shop writes them, and as the wire has them (ISO 8601). A time is kept as it is: none is moved to a zone. */

export const DATE_FORMS = ['dd.mm.yyyy', 'dd/mm/yyyy', 'mm/dd/yyyy'] as const;
export type DateForm = (typeof DATE_FORMS)[number];

/** Undefined: it has not that form, or there is no such day. */
export function toIsoDate(text: string, form: DateForm): string | undefined {
  const [, first = '', second = '', year = '', time] = PATTERNS[form].exec(text.trim()) ?? [];
  const [day, month] = form.startsWith('dd') ? [first, second] : [second, first];
  const date = `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`;
  const clock = time === undefined ? '' : clockOf(time);
  const at = new Date(`${date}${clock === '' ? 'T00:00:00' : clock}Z`);
  // a day that is not there becomes another one
  const isThere = !Number.isNaN(at.getTime()) && at.toISOString().startsWith(date);
  return isThere ? `${date}${clock}` : undefined;
}

function clockOf(time: string): string {
  const [hour = '', minute = '', second = '00'] = time.split(':');
  return `T${hour.padStart(2, '0')}:${minute}:${second}`;
}

const TIME = '(?:[ T](\\d{1,2}:\\d{2}(?::\\d{2})?))?';
const SLASHES = new RegExp(`^(\\d{1,2})/(\\d{1,2})/(\\d{4})${TIME}$`);
const PATTERNS: Record<DateForm, RegExp> = {
  'dd.mm.yyyy': new RegExp(`^(\\d{1,2})\\.(\\d{1,2})\\.(\\d{4})${TIME}$`),
  'dd/mm/yyyy': SLASHES,
  'mm/dd/yyyy': SLASHES,
};

/** Undefined: it is no ISO date. */
export function fromIsoDate(text: string, form: DateForm): string | undefined {
  const match = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?))?/.exec(text);
  if (!match) return undefined;
  const [, year = '', month = '', day = '', time] = match;
  const date = form.replace('dd', day).replace('mm', month).replace('yyyy', year);
  return time === undefined ? date : `${date} ${time}`;
}
