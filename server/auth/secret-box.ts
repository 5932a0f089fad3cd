import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';

/** Seals what must be readable again (signing keys, queued mail), and digests what must only be compared. */
export interface SecretBox {
  /** AES-256-GCM; `purpose` is authenticated, so a sealed value opens only for what it was made for. */
  seal(purpose: string, plain: string | Buffer): Buffer;
  /** Throws when the value was sealed under another key, for another purpose, or was changed. */
  open(purpose: string, sealed: Buffer): Buffer;
  /** HMAC-SHA-256: for short secrets, whose bare hash would be guessed from a dump. */
  digest(purpose: string, text: string): Buffer;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Creates a box from secret material of at least 128 random bits. */
export function createSecretBox(material: string | Buffer): SecretBox {
  const sealingKey = derive(material, 'sluice seal');
  const digestKey = derive(material, 'sluice digest');
  return {
    seal(purpose, plain) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', sealingKey, nonce).setAAD(Buffer.from(purpose));
      const body = Buffer.concat([cipher.update(plain), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), body]);
    },
    open(purpose, sealed) {
      const nonce = sealed.subarray(0, NONCE_BYTES);
      const decipher = createDecipheriv('aes-256-gcm', sealingKey, nonce, { authTagLength: TAG_BYTES })
        .setAAD(Buffer.from(purpose))
        .setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
    },
    digest: (purpose, text) => createHmac('sha256', digestKey).update(`${purpose}\n${text}`).digest(),
  };
}

function derive(material: string | Buffer, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', material, '', info, 32));
}
