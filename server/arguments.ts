import { environment } from './config.ts';

/** What stands behind `npm start --`: there is nothing to set there, and nobody is to believe that there was. */
export type Arguments = { help: string } | { refused: string } | undefined;

/** Undefined: nothing was given. */
export function readArguments(given: readonly string[]): Arguments {
  const [first] = given;
  if (first === undefined) return undefined;
  return given.some((one) => one === '--help' || one === '-h')
    ? { help: help() }
    : { refused: refusal(first) };
}

function refusal(argument: string): string {
  const [option = ''] = argument.split('=');
  const name = option.replace(/^-+/, '').replaceAll('-', '_').toUpperCase();
  const example = Object.hasOwn(environment.shape, name) ? `${name}=… npm start` : 'PORT=8080 npm start';
  return `Unknown argument ${JSON.stringify(argument)}. Settings come from the environment (${example}) or a file .env: npm start -- --help lists them.`;
}

function help(): string {
  const settings = Object.entries(environment.shape);
  const width = Math.max(...settings.map(([name]) => name.length));
  return [
    'Usage: npm start',
    '',
    'Starts the gateway. It takes no arguments but --help: settings come from the environment, or from a file .env in the',
    'working folder, such as HOST=0.0.0.0 PUBLIC_URL=http://192.0.2.2:8300 npm start',
    '',
    ...settings.map(([name, { description = '' }]) => `  ${name.padEnd(width)}  ${description}`),
    '',
    'Defaults and examples: docs/CONFIGURATION.md. Running it: docs/OPERATIONS.md.',
  ].join('\n');
}
