/** Text as a terminal shows it: made harmless, measured, coloured. */

export type Colour = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'blue' | 'magenta' | 'cyan';

/** Paints text, or returns it as it is. */
export type Theme = Record<Colour, (text: string) => string>;

const CODES: Record<Colour, [number, number]> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  magenta: [35, 39],
  cyan: [36, 39],
};

export function createTheme(colours: boolean): Theme {
  const paint = ([open, close]: [number, number]): ((text: string) => string) =>
    colours ? (text) => `\u001b[${open}m${text}\u001b[${close}m` : (text) => text;
  const entries = Object.entries(CODES).map(([name, codes]) => [name, paint(codes)]);
  return Object.fromEntries(entries) as Theme;
}

/**
 * Data made harmless: controls (C0, DEL, C1), line and paragraph separators, direction marks, invisible fillers and
 * lone surrogates are written out (`\x1b`, `\u{202e}`), so that a record can neither drive the terminal nor forge a line.
 */
export function clean(text: string): string {
  return text.replace(UNSAFE, escapeCharacter);
}

/** JSON that is safe on a terminal too; it parses to the same value. */
export function cleanJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, (character) =>
    Array.from({ length: character.length }, (_, at) => character.charCodeAt(at))
      .map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

const UNSAFE =
  /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

const SHORT: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escapeCharacter(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  return SHORT[character] ?? (code < 0x100 ? `\\x${hex.padStart(2, '0')}` : `\\u{${hex}}`);
}

/** Columns that the text takes; colours take none. */
export function widthOf(text: string): number {
  let width = 0;
  for (const { segment } of graphemes.segment(text.replace(PAINT, ''))) width += WIDE.test(segment) ? 2 : 1;
  return width;
}

/** Cut to so many columns, with an ellipsis where something is missing. The text must be without colours. */
export function fit(text: string, columns: number): string {
  if (columns <= 0) return '';
  if (widthOf(text) <= columns) return text;
  return columns === 1 ? '…' : `${cutAt(text, columns - 1)[0].trimEnd()}…`;
}

/** Broken at spaces into lines of at most so many columns; a word that is longer is cut where it must be. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/(?<= )/)) {
    if (line !== '' && widthOf(line) + widthOf(word.trimEnd()) > columns) {
      lines.push(line.trimEnd());
      line = '';
    }
    line += word;
    while (widthOf(line.trimEnd()) > columns) {
      const [head, rest] = cutAt(line, columns);
      lines.push(head);
      line = rest;
    }
  }
  const last = line.trimEnd();
  return last === '' && lines.length > 0 ? lines : [...lines, last];
}

function cutAt(text: string, columns: number): [string, string] {
  let head = '';
  let width = 0;
  for (const { segment } of graphemes.segment(text)) {
    width += WIDE.test(segment) ? 2 : 1;
    // At least one, or nothing would ever be cut off.
    if (width > columns && head !== '') break;
    head += segment;
  }
  return [head, text.slice(head.length)];
}

export function padEnd(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - widthOf(text)));
}

export function padStart(text: string, columns: number): string {
  return ' '.repeat(Math.max(0, columns - widthOf(text))) + text;
}

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
const PAINT = /\u001b\[\d+m/g;
const WIDE =
  /[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]/u;
