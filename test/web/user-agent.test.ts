import { expect } from 'chai';
import { deviceName } from '../../web/src/model/user-agent.ts';
import { toUserCode } from '../../web/src/model/user-code.ts';

const CHROME = 'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36';

describe('web: the names of devices', () => {
  for (const [name, userAgent] of [
    ['Chrome on Windows', `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${CHROME}`],
    ['Edge on Windows', `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${CHROME} Edg/140.0.0.0`],
    ['Opera on Mac', `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${CHROME} OPR/120.0.0.0`],
    ['Chrome on Android', `Mozilla/5.0 (Linux; Android 15; Pixel 9) ${CHROME}`],
    ['Firefox on Linux', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'],
    [
      'Safari on iPhone',
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1',
    ],
    ['curl', 'curl/8.5.0'],
    ['Unknown device', ''],
  ] as const)
    it(`says ${name}`, () => expect(deviceName(userAgent)).to.equal(name));

  it('knows the terminal client, and believes any other program its name, cut short', () => {
    expect(deviceName('node', 'sluice-cli')).to.equal('Terminal client');
    const where = 'sluice-cli/0.1.0 (linux; till-3)';
    for (const app of ['sluice-cli', '']) {
      expect(deviceName(where, app)).to.equal('Terminal client on till-3, linux');
    }
    expect(deviceName('node', 'till-7')).to.equal('till-7');
    expect(deviceName('node', 'x'.repeat(100))).to.have.length(40);
  });
});

describe('web: the code of a terminal', () => {
  it('is read however it is typed', () => {
    for (const typed of ['BCDF-GHJK', 'bcdfghjk', ' bcdf ghjk ', 'B-C-D-F-G-H-J-K-L'])
      expect(toUserCode(typed)).to.equal('BCDF-GHJK');
    expect([toUserCode('bcd'), toUserCode('bcdfg'), toUserCode('1%<')]).to.deep.equal(['BCD', 'BCDF-G', '']);
  });
});
