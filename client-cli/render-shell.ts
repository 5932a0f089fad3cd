import type { LinkState } from '../sdk/index.ts';
import { stateMark } from './render.ts';
import { clean, padEnd } from './terminal-text.ts';
import type { Theme } from './terminal-text.ts';

/** What the interactive session says around messages and changes. */

export function shellHead(theme: Theme, { url, username }: { url: string; username: string }): string[] {
  return [
    `${theme.bold('Sluice')} at ${clean(url)} as ${theme.bold(clean(username))}`,
    theme.dim('/watch changes  /chat room  /status  /rooms  /help  /quit'),
  ];
}

export interface PromptParts {
  state: LinkState;
  room: string | undefined;
  typing: readonly string[];
  watching: readonly string[];
}

/** `● #general · ben is typing… › `. */
export function promptText(theme: Theme, { state, room, typing, watching }: PromptParts): string {
  const parts = [
    `${stateMark(theme, state)} ${room === undefined ? 'no room' : theme.bold(`#${clean(room)}`)}`,
    ...(watching.length > 0 ? [theme.dim('watching')] : []),
    ...(typing.length > 0 ? [theme.dim(typingText(typing))] : []),
  ];
  return `${parts.join(theme.dim(' · '))} › `;
}

function typingText(names: readonly string[]): string {
  const [one = '', two, ...others] = names.map(clean);
  if (two === undefined) return `${one} is typing…`;
  return others.length === 0 ? `${one} and ${two} are typing…` : 'several are typing…';
}

export function roomHead(
  theme: Theme,
  { room, title, here, empty }: { room: string; title: string; here: string; empty: boolean },
): string[] {
  const name = theme.bold(`#${clean(room)}`);
  const words = title === '' || title === room ? '' : `  ${clean(title)}`;
  return [
    '',
    `${name}${words}${here === '' ? '' : theme.dim(`  here: ${here}`)}`,
    ...(empty ? [theme.dim('         No messages yet: type one.')] : []),
  ];
}

/** A message typed while there is no connection. */
export function waitingLine(theme: Theme, text: string): string {
  return theme.dim(`         (goes out when connected)  ${clean(text)}`);
}

export function watchingLine(theme: Theme, collections: readonly string[], records: number): string {
  const names = collections.map(clean).join(', ');
  return theme.dim(`         watching ${names} (${records} records); /watch off stops`);
}

export function shellHelp(theme: Theme, commands: readonly { usage: string; summary: string }[]): string[] {
  const width = Math.max(...commands.map(({ usage }) => usage.length));
  const lines = commands.map(({ usage, summary }) => `  ${padEnd(usage, width)}  ${theme.dim(summary)}`);
  return ['', ...lines, theme.dim('  Tab completes; // at the beginning sends a line that starts with /.')];
}
