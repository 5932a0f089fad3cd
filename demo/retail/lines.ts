import { isUtf8 } from 'node:buffer';

/** One physical line of a file; `number` counts from 1. */
export interface PhysicalLine {
  number: number;
  text: string;
  /** The line was longer than MAX_LINE_BYTES; `text` holds only its beginning. */
  overlong: boolean;
}

export interface LineSplitter {
  push(chunk: Buffer): void;
  /** The file has ended: hands over a last line without a line break. */
  end(): void;
}

/** No row of a shop is this long; a longer line is refused instead of filling the memory. */
const MAX_LINE_BYTES = 1024 * 1024;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
/** What the web calls Latin-1: ISO 8859-1 with printable characters in 0x80 to 0x9f, as spreadsheets write it. */
const latin1 = new TextDecoder('windows-1252');

/**
 * Splits bytes into lines (LF or CRLF) and decodes each by itself: as UTF-8, or as Latin-1 where it is not valid UTF-8.
 * Deciding line by line needs no second pass, and mixed files (months exported by different tills) come out right too.
 */
export function createLineSplitter(emit: (line: PhysicalLine) => void): LineSplitter {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let overlong = false;
  let number = 0;

  function hold(part: Buffer): void {
    if (part.length === 0 || overlong) return;
    const room = MAX_LINE_BYTES - heldBytes;
    overlong = part.length > room;
    held.push(overlong ? part.subarray(0, room) : part);
    heldBytes += Math.min(part.length, room);
  }

  function flush(): void {
    const bytes = held.length === 1 && held[0] ? held[0] : Buffer.concat(held);
    number += 1;
    emit({ number, text: decodeLine(bytes), overlong });
    held = [];
    heldBytes = 0;
    overlong = false;
  }

  return {
    push(chunk) {
      let start = 0;
      for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
        hold(chunk.subarray(start, end));
        flush();
        start = end + 1;
      }
      hold(chunk.subarray(start));
    },
    end() {
      if (heldBytes > 0) flush();
    },
  };
}

function decodeLine(bytes: Buffer): string {
  const line = bytes.at(-1) === CARRIAGE_RETURN ? bytes.subarray(0, -1) : bytes;
  return isUtf8(line) ? line.toString('utf8') : latin1.decode(line);
}
