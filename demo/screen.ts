/** Where progress is shown: one line that is written over on a terminal, a line every few seconds elsewhere. */
export interface Screen {
  line(text: string): void;
  /** The state of things; shown at most a few times a second. */
  progress(text: () => string): void;
  /** Ends the progress line. */
  settle(): void;
}

const TERMINAL_MS = 200;
const PLAIN_MS = 3_000;

export function createScreen(stream: NodeJS.WriteStream): Screen {
  let last = 0;
  let isOpen = false;
  const settle = (): void => {
    if (isOpen) stream.write('\n');
    isOpen = false;
  };
  return {
    line(text) {
      settle();
      stream.write(`${text}\n`);
    },
    progress(text) {
      const now = performance.now();
      if (now - last < (stream.isTTY ? TERMINAL_MS : PLAIN_MS)) return;
      last = now;
      if (!stream.isTTY) {
        stream.write(`${text()}\n`);
        return;
      }
      stream.write(`\r\u001b[2K${text().slice(0, stream.columns - 1)}`);
      isOpen = true;
    },
    settle,
  };
}
