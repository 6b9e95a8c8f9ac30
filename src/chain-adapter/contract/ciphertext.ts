/**
 * Paillier ciphertexts as the contract handles them: products and quotients modulo n^2, big-endian, 2 * bytes(n) long.
 * The contract never exponentiates (its `verify` does), so it needs no h and no key object.
 */
import { bigintToBytes, bytesToBigint } from '../../base/bytes.js'
import { gcd, mod, modInverse } from '../../privacy/modexp.js'

/** The ciphertext 1: zero with s = 0, the neutral element of every credit (L2). */
export const zeroCiphertext = (n: Uint8Array): Uint8Array => bigintToBytes(1n, 2 * n.length)

/** P2: `0 < c < n^2` and `gcd(c, n) = 1` for all of them, with one gcd. Lengths are checked before (L10). */
export function areUnits(n: Uint8Array, ...ciphertexts: readonly Uint8Array[]): boolean {
  const modulus = bytesToBigint(n)
  let product = 1n
  for (const ciphertext of ciphertexts) {
    const c = bytesToBigint(ciphertext)
    if (c >= modulus * modulus) return false
    product = (product * c) % modulus
  }
  return gcd(product, modulus) === 1n
}

/** The sum of two plaintexts. */
export function multiply(n: Uint8Array, a: Uint8Array, b: Uint8Array): Uint8Array {
  const modulus = bytesToBigint(n)
  return bigintToBytes((bytesToBigint(a) * bytesToBigint(b)) % (modulus * modulus), 2 * n.length)
}

/** The difference of two plaintexts (P7), undefined where `b` is no unit in range. */
export function divide(n: Uint8Array, a: Uint8Array, b: Uint8Array): Uint8Array | undefined {
  const modulus = bytesToBigint(n)
  const square = modulus * modulus
  const divisor = bytesToBigint(b)
  const modulo = divisor < square ? modInverse(divisor, modulus) : undefined
  if (modulo === undefined) return undefined
  // Newton: an inverse modulo n becomes one modulo n^2.
  const inverse = mod(modulo * (2n - ((divisor * modulo) % square)), square)
  return bigintToBytes((bytesToBigint(a) * inverse) % square, 2 * n.length)
}
