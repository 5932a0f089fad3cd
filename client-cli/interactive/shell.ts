import type { SessionUser } from '../../sdk/index.ts';
import { onNewState, openChat, whenLive } from '../connected.ts';
import type { Context } from '../context.ts';
import { fromCode, toFailure } from '../failure.ts';
import type { CliError } from '../failure.ts';
import { failureLines, stateLine } from '../render.ts';
import { promptText, shellHead } from '../render-shell.ts';
import { createChatView } from './chat-view.ts';
import { completeLine, runShellCommand } from './shell-commands.ts';
import type { Shell } from './shell-commands.ts';
import { createLiveView } from './live-view.ts';
import type { Screen } from './screen.ts';
import { openScreen } from './screen.ts';

/** The shell: a prompt for one room, what others write, and on request every change of the records. */
export async function runShell(context: Context, start: { user: SessionUser; room: string }): Promise<void> {
  const chat = openChat(context);
  const parts: { shell?: Shell } = {};
  try {
    const live = whenLive(chat, context.signal);
    chat.start();
    await live;
    const { shell, screen } = openShell(context, chat);
    parts.shell = shell;
    screen.say(...shellHead(context.theme, { url: context.url, username: start.user.username }));
    await attempt(shell, () => shell.chatView.enter(start.room));
    await screen.closed;
  } catch (error) {
    if (!context.signal.aborted) throw error;
  } finally {
    parts.shell?.screen.close();
    await parts.shell?.liveView.stop();
    await chat.close();
  }
  // Told after the terminal is itself again.
  const ended = parts.shell?.ended;
  if (ended) throw ended;
}

function openShell(context: Context, chat: Shell['chat']): { shell: Shell; screen: Screen } {
  const screen = openScreen(context, {
    onLine: (line) => void attempt(shell, () => enterLine(shell, line)),
    onKey: () => shell.chatView.typed(screen.typed),
    complete: (line) => completeLine(shell, line),
  });
  const refresh = (): void => screen.setPrompt(promptOf(shell));
  const paper = {
    theme: context.theme,
    get columns() {
      return screen.columns;
    },
  };
  const shell: Shell = {
    context,
    chat,
    screen,
    paper,
    chatView: createChatView({ context, chat, screen, paper, refresh }),
    liveView: createLiveView({ context, screen, paper, refresh }),
    ended: undefined,
  };
  onNewState(chat, (state) => {
    const line = stateLine(context.theme, state);
    if (line !== undefined && state.name !== 'refused') screen.say(line);
    if (state.name === 'refused') end(shell, fromCode(state.code, state.message ?? state.code));
    refresh();
  });
  return { shell, screen };
}

/** A line of text goes to the room; one that begins with a slash is a command. */
async function enterLine(shell: Shell, line: string): Promise<void> {
  const text = line.trim();
  if (text === '') shell.screen.setPrompt(promptOf(shell));
  else if (text.startsWith('/') && !text.startsWith('//')) await runShellCommand(shell, text);
  else await shell.chatView.send(text.replace(/^\/\//, '/'), line);
  shell.screen.setPrompt(promptOf(shell));
}

async function attempt(shell: Shell, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    shell.screen.say(...failureLines(shell.context.theme, withoutHint(toFailure(error))));
  }
}

/** Hints name shell commands of the outer kind; in here they would mislead. */
function withoutHint(failure: CliError): CliError {
  return Object.assign(Object.create(failure) as CliError, { message: failure.message, hint: undefined });
}

function end(shell: Shell, failure: CliError): void {
  shell.ended = failure;
  shell.screen.close();
}

function promptOf(shell: Shell): string {
  const { chat, chatView, liveView, context } = shell;
  return promptText(context.theme, {
    state: chat.state,
    room: chatView.room,
    typing: chatView.typing,
    watching: liveView.watching,
  });
}
