import { readFile } from 'node:fs/promises';
import { constants, getPriority, platform } from 'node:os';
import { expect } from 'chai';
import { COST, hashing, hashingPid } from '../../server/auth/hashing.ts';
import { createPasswordHasher } from '../../server/auth/passwords.ts';

const PASSWORD = 'correct horse battery staple';

describe('passwords are hashed beside the gateway', () => {
  const pid = (): number => hashingPid() ?? expect.fail('there is no hashing process');

  it('[S31] by a process that steps back for everybody else', async () => {
    await hashing.hash(PASSWORD);
    expect(getPriority(pid())).to.equal(constants.priority.PRIORITY_BELOW_NORMAL);
    expect(getPriority(process.pid)).to.be.below(constants.priority.PRIORITY_BELOW_NORMAL);
  });

  it('which knows none of the gateway’s settings, and is told passwords in no argument', async function () {
    if (platform() !== 'linux') return this.skip();
    await hashing.hash(PASSWORD);
    const environment = await readFile(`/proc/${pid()}/environ`, 'utf8');
    const names = environment.split('\0').map((setting) => setting.split('=', 1)[0] ?? '');
    const known = [
      '',
      'PATH',
      'HOME',
      'TMPDIR',
      'TEMP',
      'NODE_CHANNEL_FD',
      'NODE_CHANNEL_SERIALIZATION_MODE',
    ];
    expect(names.filter((name) => !known.includes(name))).to.deep.equal([]);
    expect(await readFile(`/proc/${pid()}/cmdline`, 'utf8')).not.to.contain(PASSWORD);
  });

  it('none of them is lost when that process is killed', async () => {
    const stored = await hashing.hash(PASSWORD);
    const checks = Array.from({ length: 20 }, (_, i) =>
      hashing.verify(stored, i % 2 === 0 ? PASSWORD : 'another'),
    );
    process.kill(pid(), 'SIGKILL');
    expect(await Promise.all(checks)).to.deep.equal(checks.map((_, i) => i % 2 === 0));
  });

  it('and one that cannot be computed is an outage, not a wrong password', async () => {
    const refusal = await hashing.verify('$argon2id$nonsense', PASSWORD).catch((error: unknown) => error);
    expect(refusal).to.have.property('code', 'unavailable');
  });

  it('[S29] with nothing stored as long as with a hash', async () => {
    const asked: string[] = [];
    const verify = hashing.verify.bind(hashing);
    hashing.verify = (stored, password) => {
      asked.push(stored);
      return verify(stored, password);
    };
    try {
      const hasher = createPasswordHasher();
      const stored = await hasher.hash(PASSWORD);
      expect(await hasher.verify(stored, PASSWORD)).to.equal(true);
      expect(await hasher.verify(undefined, PASSWORD)).to.equal(false);
    } finally {
      hashing.verify = verify;
    }
    const shapes = asked.map((hash) => hash.split('$').map((part, i) => (i < 4 ? part : part.length)));
    expect(shapes[1]).to.deep.equal(shapes[0]);
    expect(asked[1]).to.contain(`m=${COST.memoryCost},t=${COST.timeCost},p=${COST.parallelism}`);
  });
});
