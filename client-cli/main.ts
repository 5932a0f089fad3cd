import { systemClock } from '../sdk/clock.ts';
import { readEnvironment } from './config.ts';
import { runProgram } from './program.ts';

/** The process: its streams, its signals, its exit. */

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    // The second time there is no waiting for a clean end.
    if (interrupted.signal.aborted) process.exit(130);
    interrupted.abort();
  });

// `sluice watch | head`: the reader has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

const exitCode = await runProgram(
  {
    input: process.stdin,
    output: process.stdout,
    errors: process.stderr,
    environment: readEnvironment(),
    clock: systemClock,
    signal: interrupted.signal,
  },
  process.argv.slice(2),
);
process.stdin.pause();
// Flushed first: a pipe may still hold what was written.
process.stdout.write('', () => process.exit(exitCode));
