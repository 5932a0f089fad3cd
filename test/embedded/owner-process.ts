import { startEmbeddedPostgres } from '../../server/embedded/embedded-postgres.ts';

// A stand-in for the gateway: it can be SIGKILLed without taking the test runner with it.
const log = (line: string): void => void process.stdout.write(`${line}\n`);
const database = await startEmbeddedPostgres({ dataDir: process.argv[2] ?? '', log });
process.once('SIGTERM', () => void database.close().then(() => process.exit(0)));
process.stdout.write(`${JSON.stringify({ url: database.url, pid: database.pid })}\n`);
