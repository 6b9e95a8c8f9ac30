/** C3: BOLT 3, Appendix D "Per-commitment Secret Generation Test Vectors". */

import { readFileSync } from 'node:fs'
import t from 'tap'
import { bytesToHex, equalBytes, hexToBytes } from '../../src/base/bytes.js'
import { ROOT } from '../../src/base/root.js'
import { randomnessOf } from '../../src/channel/keys.js'
import {
  EMPTY_STORE,
  insertSecret,
  type RevocationStore,
  revocationSecret,
  secretAt,
  storedSecret,
} from '../../src/channel/revocation.js'

interface Vectors {
  readonly generate: readonly { name: string; seed: string; index: string; output: string }[]
  readonly insert: readonly { name: string; steps: readonly { index: string; secret: string; ok: boolean }[] }[]
}
const vectors = JSON.parse(readFileSync(new URL('test/vectors/bolt03-secrets.json', ROOT), 'utf8')) as Vectors

t.test('generate_from_seed', async (t) => {
  for (const { name, seed, index, output } of vectors.generate) {
    t.equal(bytesToHex(secretAt(hexToBytes(seed), BigInt(index))), output, name)
  }
})

t.test('insert_secret', async (t) => {
  for (const { name, steps } of vectors.insert) {
    let store: RevocationStore | undefined = EMPTY_STORE
    for (const [count, { index, secret, ok }] of steps.entries()) {
      t.equal(BigInt(index), (1n << 48n) - 1n - BigInt(count), 'versions in order')
      const next: RevocationStore | undefined = store && insertSecret(store, hexToBytes(secret))
      t.equal(next !== undefined, ok, `${name} ${index}`)
      store = next
    }
  }
})

t.test('every earlier secret is derived from at most 49 slots; the next one is not', async (t) => {
  const seed = new Uint8Array(32).fill(7)
  let store: RevocationStore = EMPTY_STORE
  for (let version = 0; version < 301; version++) {
    const next = insertSecret(store, revocationSecret(seed, version))
    if (next === undefined) return t.fail('a true secret was refused')
    store = next
  }
  const all = Array.from({ length: 300 }, (_, version) => storedSecret(store, version))
  t.ok(all.every((secret, version) => secret !== undefined && equalBytes(secret, revocationSecret(seed, version))))
  t.equal(storedSecret(store, 301), undefined)
  t.ok(store.slots.length <= 49)
  // a leaf proves nothing: 301 has children to check
  t.equal(insertSecret(store, revocationSecret(seed, 303)), undefined)
})

t.test('the kept path gives what the whole derivation gives, in any order', async (t) => {
  const seeds = [1, 2].map((fill) => new Uint8Array(32).fill(fill))
  const leaps = [0, 1, 0, 2, 1, 3, 255, 256, 254, 2 ** 40, 2 ** 40 + 1, 5, 2 ** 48 - 1, 0, 2 ** 48, -1, 7]
  for (const version of [...leaps, ...Array.from({ length: 200 }, (_, k) => (k % 3) + k)]) {
    for (const seed of seeds) {
      const whole = secretAt(seed, (1n << 48n) - 1n - BigInt(version))
      if (!equalBytes(revocationSecret(seed, version), whole)) t.fail(`version ${version}`)
    }
  }
  t.equal(revocationSecret(seeds[0]!, 3).length, 32)
})

t.test('C2: no two versions, and no two channels, have the same randomness', async (t) => {
  const keys = (fill: number) => ({ randomness: new Uint8Array(32).fill(fill) }) as Parameters<typeof randomnessOf>[0]
  const versions = Array.from({ length: 50 }, (_, version) => version)
  const drawn = [1, 2].flatMap((fill) => versions.map((version) => randomnessOf(keys(fill), 1024, version)))
  t.equal(new Set(drawn).size, 100)
})
