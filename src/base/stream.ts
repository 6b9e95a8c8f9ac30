import { createCipheriv } from 'node:crypto'

/** OpenSSL's form: a counter of 4 bytes before the nonce of 12. */
const ZERO_COUNTER_AND_NONCE = new Uint8Array(16)

/** ChaCha20's stream (RFC 8439) from block 0 with a zero nonce, by OpenSSL: for keys that serve once. */
export function chacha20Stream(key: Uint8Array, length: number): Uint8Array {
  const cipher = createCipheriv('chacha20', key, ZERO_COUNTER_AND_NONCE)
  return new Uint8Array(cipher.update(new Uint8Array(length)))
}
