/** Sees every Diffie-Hellman object that node makes from here on: the moduli whose primality OpenSSL tests (P8). */
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import type { Test } from 'tap'
import { bytesToBigint } from '../../src/base/bytes.js'

/** One object: its modulus, and the private keys that it was given, copied. */
export interface Watched {
  readonly modulus: bigint
  readonly exponents: Uint8Array[]
}

export function watchDiffieHellman(t: Test): Watched[] {
  const seen: Watched[] = []
  const original = crypto.createDiffieHellman
  const watched = (prime: Buffer, generator: number): crypto.DiffieHellman => {
    const dh = original(prime, generator)
    const one: Watched = { modulus: bytesToBigint(prime), exponents: [] }
    seen.push(one)
    const setPrivateKey = dh.setPrivateKey.bind(dh)
    dh.setPrivateKey = (key: NodeJS.ArrayBufferView | string): void => {
      one.exponents.push(Uint8Array.from(key as Uint8Array))
      setPrivateKey(key as NodeJS.ArrayBufferView)
    }
    return dh
  }
  const put = (value: typeof crypto.createDiffieHellman): void => {
    crypto.createDiffieHellman = value
    syncBuiltinESMExports()
  }
  put(watched as typeof crypto.createDiffieHellman)
  t.teardown(() => put(original))
  return seen
}
