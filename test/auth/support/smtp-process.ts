import { SMTPServer } from 'smtp-server';

/**
 * A mail server in a process of its own, so that it can die like one. `node smtp-process.ts <port> <when>`; `when` is `never`,
 * `in-data` (as the first bytes of a mail arrive) or `unsaid` (the mail is taken, the answer is not sent).
 * Writes a line of JSON when it listens and for each mail.
 */

const [port = '0', when = 'never'] = process.argv.slice(2);
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const die = (): boolean => process.kill(process.pid, 'SIGKILL');

const server = new SMTPServer({
  disabledCommands: ['AUTH', 'STARTTLS'],
  onData(stream, _session, done) {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => {
      if (when === 'in-data') die();
      chunks.push(chunk);
    });
    stream.on('end', () => {
      say({ mail: Buffer.concat(chunks).toString() });
      // what was written has to be out before the end
      if (when === 'unsaid') process.stdout.write('', die);
      else done();
    });
  },
});
server.listen(Number(port), '127.0.0.1', () => say({ listening: true }));
