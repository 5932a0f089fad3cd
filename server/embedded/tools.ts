import { execFile, spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { programPath, type Binaries, type Program } from './binaries.ts';
import { createChildEnvironment } from './config.ts';
import { inNamespace, type RunAs } from './run-as.ts';

/** PostgreSQL's programs, and whom they run as. */
export interface Tools {
  binaries: Binaries;
  runAs: RunAs;
}

export interface Outcome {
  code: number | null;
  output: string;
}

/** Starts a program as a session of its own: a Ctrl-C meant for the gateway must not reach the database. */
export function spawnProgram(
  tools: Tools,
  program: Program,
  args: string[],
  stdio: StdioOptions,
): ChildProcess {
  const path = programPath(tools.binaries, program);
  const { runAs } = tools;
  const [file, list] = runAs.kind === 'namespace' ? inNamespace(runAs, path, args) : [path, args];
  return spawn(file, list, {
    stdio,
    env: createChildEnvironment(tools.binaries.env),
    cwd: tools.binaries.cwd,
    detached: process.platform !== 'win32',
    windowsHide: true,
    ...(runAs.kind === 'user' ? { uid: runAs.uid, gid: runAs.gid } : {}),
  });
}

/** Runs a program to its end and collects what it said; never rejects for a bad exit code. */
export async function runProgram(
  tools: Tools,
  program: Program,
  args: string[],
  input = '',
): Promise<Outcome> {
  const child = spawnProgram(tools, program, args, ['pipe', 'pipe', 'pipe']);
  let output = '';
  const collect = (chunk: Buffer): void => void (output += chunk.toString('utf8'));
  child.stdout?.on('data', collect);
  child.stderr?.on('data', collect);
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: null, output: error.message }));
    child.once('close', (code) => resolve({ code, output }));
  });
}

/** Runs a system command (`ps`) and gives what it printed, or nothing when it failed. */
export async function findOutput(file: string, args: string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(file, args, (error, stdout) => resolve(error ? undefined : stdout));
  });
}
