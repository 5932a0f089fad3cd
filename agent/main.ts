#!/usr/bin/env node
import { runCommand } from './commands.ts';

/** A service manager waits a little before it kills: what is not done by then is done after the next start. */
const GRACE_MS = 4_500;

const exitCode = await runCommand(
  {
    stdout: process.stdout,
    stderr: process.stderr,
    onStop(stop) {
      const end = (): void => {
        setTimeout(() => process.exit(1), GRACE_MS).unref();
        stop();
      };
      // SIGBREAK is Ctrl+Break on Windows, and what a service wrapper sends.
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGBREAK'] as const) process.once(signal, end);
    },
  },
  process.argv.slice(2),
);
process.exitCode = exitCode;
