import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { z } from 'zod';
import { canonicalJson } from '../../protocol/canonical.ts';
import { ERRORS, wireError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import * as sync from '../../protocol/sync.ts';
import { PROTOCOL_VERSION } from '../../protocol/version.ts';

/**
 * The fingerprint of the wire. When this fails you have changed what clients send or get: change docs/PROTOCOL.md with it,
 * decide whether older clients still understand it (else raise PROTOCOL_VERSION), then put the new value here.
 */
const FINGERPRINT = 'e9711e0579309ccb';

describe('protocol: the wire', () => {
  it('[H2] cannot change unnoticed', () => {
    const schemas = Object.entries({ ...sync, wireError }).filter(([, value]) => value instanceof z.ZodType);
    const shapes = schemas.map(([name, schema]) => [
      name,
      z.toJSONSchema(schema as z.ZodType, { unrepresentable: 'any' }),
    ]);
    const text = canonicalJson({ shapes, limits: LIMITS, version: PROTOCOL_VERSION });
    expect(createHash('sha256').update(text).digest('hex').slice(0, 16)).to.equal(FINGERPRINT);
  });

  it('[E1] every code has a message that says something and one of three pieces of advice', () => {
    for (const [code, { message, retry, status }] of Object.entries(ERRORS)) {
      expect(code).to.match(/^[a-z_]+$/);
      expect(message.length, code).to.be.above(10);
      expect(['never', 'later', 'auth']).to.include(retry);
      expect(status).to.be.within(400, 599);
    }
  });
});
