import { Fragment } from 'react';
import { Code } from '@mantine/core';
import { CopyButton } from './copy-button.tsx';

/** A line for the terminal of the gateway's machine, to be taken along. */
export function Command({ line }: { line: string }) {
  return (
    <div className="command">
      <Code block>{wordsOf(line)}</Code>
      <CopyButton text={line} label={`Copy: ${line}`} />
    </div>
  );
}

/** Breaks between words only: half an option on each line is hard to type. */
function wordsOf(line: string) {
  return line.split(' ').map((word, index) => (
    <Fragment key={index}>
      {index > 0 ? ' ' : ''}
      <span>{word}</span>
    </Fragment>
  ));
}

/** A command of the terminal client, told where this gateway is unless it would find it by itself. */
export function sluice(words: string): string {
  const { origin } = location;
  const isDefault = /^http:\/\/(localhost|127\.0\.0\.1):8300$/.test(origin);
  return `npm run sluice -- ${words}${isDefault ? '' : ` --url ${origin}`}`;
}

/** Names come from people: quoted for the shell they will be pasted into. */
export function quote(word: string): string {
  return /^[\w.@-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
