import { expect } from 'chai';
import { createTerminal, withFolder } from './terminal.ts';

interface Outcome {
  code: number;
  out: string;
  err: string;
}

/** Nothing is asked of a gateway: what is wrong is seen before. */
async function run(...argv: string[]): Promise<Outcome> {
  let outcome: Outcome = { code: -1, out: '', err: '' };
  await withFolder(async (configDir) => {
    const terminal = createTerminal({ url: 'http://127.0.0.1:9', configDir });
    const code = await terminal.run(...argv);
    outcome = { code, out: terminal.out(), err: terminal.err() };
  });
  return outcome;
}

describe('a wrong command line', () => {
  const wrong: [string, string[], string][] = [
    ['no command', [], 'Give a command'],
    ['an unknown command', ['frobnicate'], 'frobnicate'],
    ['an unknown command of a group', ['admin', 'clients', 'frobnicate'], 'frobnicate'],
    ['a group without its command', ['admin'], 'Give a command'],
    ['a deeper group without its command', ['admin', 'clients'], 'Give a command'],
    ['a missing argument', ['get', 'stoku'], 'id'],
    ['an argument too many', ['rooms', 'extra'], 'too many arguments'],
    ['an unknown option', ['rooms', '--bogus'], '--bogus'],
    ['an option without its value', ['records', 'stoku', '--limit'], '--limit'],
    ['a value that does not fit', ['records', 'stoku', '--limit', 'many'], 'whole number'],
    ['a required option left out', ['admin', 'clients', 'create'], '--name'],
    ['a --url that is none', ['rooms', '--url', 'nowhere'], '--url'],
    ['a --url without its value', ['rooms', '--url'], '--url'],
    [
      'options that exclude each other',
      ['admin', 'users', 'grant', '--email', 'a', '--username', 'b'],
      '--email',
    ],
  ];
  for (const [what, argv, told] of wrong) {
    it(`with --json is one JSON object on the error output, and 2: ${what}`, async () => {
      // first, for --url would take what follows it
      const { code, out, err } = await run('--json', ...argv);
      expect({ code, out, lines: err.trimEnd().split('\n').length }).to.deep.equal({
        code: 2,
        out: '',
        lines: 1,
      });
      const { error } = JSON.parse(err) as { error: Record<string, unknown> };
      expect(error).to.include({ code: 'usage', exitCode: 2 });
      expect(error['message'])
        .to.be.a('string')
        .and.contain(told)
        .and.not.match(/^error:|\n/);
    });

    it(`without --json is text, and 2: ${what}`, async () => {
      const { code, out, err } = await run(...argv);
      expect({ code, out }).to.deep.equal({ code: 2, out: '' });
      expect(err).to.match(/\S/).and.not.match(/^\{/);
    });
  }

  it('with --json carries the suggestion as a hint', async () => {
    const { err } = await run('rooms', '--jsn', '--json');
    expect(JSON.parse(err)).to.have.nested.property('error.hint', 'Did you mean --json?');
  });

  it('--json behind -- is a word like any other', async () => {
    const { code, err } = await run('chat', 'history', 'general', 'x', '--', '--json');
    expect(code).to.equal(2);
    expect(err).to.match(/^error: /);
  });
});

describe('--help', () => {
  /** The commands that a help text names. */
  const commandsOf = (help: string): string[] =>
    [...(help.split('\nCommands:\n')[1]?.split('\n\n')[0] ?? '').matchAll(/^ {2}([a-z-]+)/gm)]
      .map((match) => match[1] ?? '')
      .filter((name) => name !== 'help');

  it('is there for every command, and says what it is for', async () => {
    const seen: string[] = [];
    const visit = async (path: string[]): Promise<void> => {
      for (const argv of [
        [...path, '--help'],
        ['--json', ...path, '-h'],
      ]) {
        const { code, out, err } = await run(...argv);
        expect({ code, err }, argv.join(' ')).to.deep.equal({ code: 0, err: '' });
        expect(out, argv.join(' ')).to.match(
          new RegExp(`^Usage: ${['sluice', ...path].join(' ')} .*\n\n\\S`),
        );
      }
      seen.push(path.join(' '));
      for (const name of commandsOf((await run(...path, '--help')).out)) await visit([...path, name]);
    };
    await visit([]);
    expect(seen).to.include.members([
      'login',
      'chat send',
      'room join',
      'status set',
      'admin clients rotate',
      'admin keys create',
      'admin users grant',
      'admin invitations withdraw',
      'admin roles set',
    ]);
  });
});
