import { expect } from 'chai';
import { findTo, readPacket, writeEvent } from '../../bench/packets.ts';

describe('bench: packets', () => {
  it('reads what a Socket.IO server sends', () => {
    expect(readPacket('0{"sid":"x"}')).to.deep.equal({ kind: 'open' });
    expect(readPacket('2')).to.deep.equal({ kind: 'ping' });
    expect(readPacket('40/sync,{"sid":"y"}')).to.deep.equal({ kind: 'connected', namespace: '/sync' });
    expect(readPacket('44/sync,{"message":"no"}')).to.deep.equal({
      kind: 'refused',
      body: '{"message":"no"}',
    });
    expect(readPacket('43/sync,12[{"ok":true}]')).to.deep.equal({
      kind: 'ack',
      id: 12,
      body: '[{"ok":true}]',
    });
    expect(readPacket('42/sync,["a",1]')).to.deep.equal({ kind: 'event', body: '["a",1]' });
  });

  it('writes events with and without an acknowledgement', () => {
    expect(writeEvent('/sync', 'sync:ack', '{"to":"c"}')).to.equal('42/sync,["sync:ack",{"to":"c"}]');
    expect(writeEvent('/sync', 'push', '{}', 3)).to.equal('42/sync,3["push",{}]');
  });

  it('finds the cursor of a delta without parsing it', () => {
    const frame = '42/sync,["sync:delta",{"from":"e.1.a.s","to":"e.2.b.s","more":false,"changes":[]}]';
    expect(findTo(Buffer.from(frame))).to.equal('e.2.b.s');
    expect(findTo(Buffer.from('42/sync,["sync:snapshot",{"page":"p"}]'))).to.equal(undefined);
  });
});
