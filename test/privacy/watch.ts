/** What node's own modules are asked for behind our back. */
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import threads from 'node:worker_threads'
import type { Test } from 'tap'
import { bytesToBigint } from '../../src/base/bytes.js'

/** One object: its modulus, and the private keys that it was given, copied. */
export interface Watched {
  readonly modulus: bigint
  readonly exponents: Uint8Array[]
}

/** Sees every Diffie-Hellman object that node makes from here on: the moduli whose primality OpenSSL tests (P8). */
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

/** Every worker thread that is started from here on, in order. */
export function watchWorkers(t: Test): threads.Worker[] {
  const seen: threads.Worker[] = []
  const original = threads.Worker
  const put = (value: typeof threads.Worker): void => {
    threads.Worker = value
    syncBuiltinESMExports()
  }
  put(
    class extends original {
      constructor(...args: ConstructorParameters<typeof original>) {
        super(...args)
        seen.push(this)
      }
    },
  )
  t.teardown(() => put(original))
  return seen
}
