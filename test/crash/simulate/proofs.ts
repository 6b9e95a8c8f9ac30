/**
 * The proof pool's double, behind its port. A proof is a tag of its statement, given only where the witness is true:
 * openings open their commitments, values are in range. Ciphertexts are real Paillier ones with few different
 * randomizers, so that sums and decryption are real and cheap; a channel's own R is a unit that nobody opens.
 */
import { bigintToBytes, bytesToBigint, equalBytes } from '../../../src/base/bytes.js'
import { taggedHash } from '../../../src/base/digest.js'
import { idText } from '../../../src/base/ids.js'
import { commit } from '../../../src/privacy/commitment.js'
import {
  decrypt,
  encodeModulus,
  exportPrivateKey,
  type PrivateKey,
  type PublicKey,
  privateKeyFromSeed,
  publicKey,
} from '../../../src/privacy/paillier.js'
import type { KeyHandle, ProofPool } from '../../../src/privacy/pool.js'
import type { ProofCheck, Statement, Witness } from '../../../src/privacy/statement.js'
import { statementParts } from '../../../src/privacy/transcript.js'
import type { Schedule } from './clock.js'
import { never } from './disk.js'
import type { Life } from './life.js'

const RANDOMIZERS = 16n

/** Primes are looked for once in a process, whatever the number of worlds. */
const keys = new Map<string, PrivateKey>()
export function keyOfSeed(seed: Uint8Array, bits: number): PrivateKey {
  const name = idText(seed)
  const known = keys.get(name) ?? privateKeyFromSeed(seed, bits)
  keys.set(name, known)
  return known
}

const DECRYPTED_MAX = 50_000
const decrypted = new Map<bigint, { readonly key: PrivateKey; readonly value: bigint }>()

/** Nodes start again and again over the same accounts: what was decrypted once in a process is known. */
function decryptOnce(key: PrivateKey, ciphertext: bigint): bigint {
  const known = decrypted.get(ciphertext)
  if (known?.key === key) return known.value
  const value = decrypt(key, ciphertext)
  if (decrypted.size >= DECRYPTED_MAX) decrypted.clear()
  decrypted.set(ciphertext, { key, value })
  return value
}

const byModulus = new Map<string, PrivateKey>()
const tables = new Map<bigint, bigint[]>()

function tableOf(key: PublicKey): bigint[] {
  const known = tables.get(key.n)
  if (known !== undefined) return known
  const table = [1n]
  while (table.length < Number(RANDOMIZERS)) table.push((table[table.length - 1]! * key.h) % key.nn)
  tables.set(key.n, table)
  return table
}

function keyOf(n: Uint8Array): PublicKey {
  const key = publicKey(n)
  if (!key.ok) throw new Error('a modulus that is none')
  return key.value
}

function randomizerOf(key: PublicKey, s: bigint): bigint {
  const index = ((s % RANDOMIZERS) + RANDOMIZERS) % RANDOMIZERS
  return tableOf(key)[Number(index)]!
}

function encryptWith(n: Uint8Array, value: bigint, s: bigint): bigint {
  const key = keyOf(n)
  return ((1n + value * key.n) * randomizerOf(key, s)) % key.nn
}

function unitOf(n: Uint8Array, s: bigint): bigint {
  const key = keyOf(n)
  const seed = taggedHash('simulated-randomizer', n, bigintToBytes(s < 0n ? -s : s, 64))
  return (bytesToBigint(seed) ** 15n % key.nn) + 2n
}

const tagOf = (statement: Statement): Uint8Array => taggedHash('simulated-proof', ...statementParts(statement))
const keyTag = (n: Uint8Array, account: Uint8Array): Uint8Array => taggedHash('simulated-key-proof', n, account)
const rootTag = (product: bigint, fresh: bigint, bytes: number): bigint =>
  bytesToBigint(taggedHash('simulated-root', bigintToBytes(product, 2 * bytes), bigintToBytes(fresh, 2 * bytes)))

/** What every proof that was ever made showed: the oracle knows what a settlement pays. */
export class Proofs {
  readonly #values = new Map<string, readonly bigint[]>()

  valuesOf(proof: Uint8Array): readonly bigint[] | undefined {
    return this.#values.get(idText(proof))
  }

  /** The contract's `verify`. */
  readonly holds = (check: ProofCheck): boolean => {
    switch (check.type) {
      case 'statement':
        return equalBytes(check.proof, tagOf(check.statement))
      case 'key':
        return equalBytes(check.proof, keyTag(check.n, check.account))
      case 'rollover': {
        const { n, product, fresh, root } = check
        return bytesToBigint(root) === rootTag(bytesToBigint(product), bytesToBigint(fresh), n.length)
      }
    }
  }

  prove(statement: Statement, { openings }: Witness): Uint8Array {
    for (const [index, { value, blinding }] of openings.entries()) {
      const commitment = statement.commitments[index] ?? null
      const opened = commit(value, blinding)
      const same = opened === null ? commitment === null : commitment !== null && equalBytes(opened, commitment)
      if (!same) throw new Error('a witness does not open its commitment')
    }
    for (const { commitment, minimum } of statement.ranges) {
      const value = openings[commitment]!.value - minimum
      if (value < 0n || value >> BigInt(statement.bits) !== 0n) throw new Error('a witness is out of range')
    }
    const proof = tagOf(statement)
    this.#values.set(
      idText(proof),
      openings.map(({ value }) => value),
    )
    return proof
  }

  pool(schedule: Schedule, life: Life): ProofPool {
    const opened: PrivateKey[] = []
    const job = <T>(work: () => T): Promise<T> =>
      life.acts()
        ? new Promise((resolve, reject) => {
            const run = (): void => {
              try {
                resolve(work())
              } catch (error) {
                reject(error)
              }
            }
            schedule.add({ kind: 'job', life, run })
          })
        : never()
    const privateKey = ({ id }: KeyHandle): PrivateKey => opened[id - 1]!
    return {
      waiting: 0,
      verify: (check) => job(() => this.holds(check)),
      prove: (statement, witness) => job(() => this.prove(statement, witness)),
      encrypt: (n, value, s) => job(() => encryptWith(n, value, s)),
      randomizer: (n, s) => job(() => randomizerOf(keyOf(n), s)),
      privateKeyFromSeed: (seed, bits) =>
        job(() => {
          const key = keyOfSeed(seed, bits)
          const exported = exportPrivateKey(key)
          byModulus.set(idText(exported), key)
          return exported
        }),
      openKey: (exported) =>
        job(() => {
          const key = byModulus.get(idText(exported))
          if (key === undefined) throw new Error('a key that no seed gave')
          opened.push(key)
          return { id: opened.length, n: encodeModulus(key.publicKey) }
        }),
      closeKey: () => Promise.resolve(),
      encryptOwn: (key, value, s) => job(() => encryptWith(key.n, value, s)),
      randomizerOwn: (key, s) => job(() => unitOf(key.n, s)),
      decrypt: (key, ciphertext) => job(() => decryptOnce(privateKey(key), ciphertext)),
      rootOfRollover: (key, product, fresh) =>
        job(() => {
          if (decryptOnce(privateKey(key), product) !== decryptOnce(privateKey(key), fresh))
            throw new Error('no such root')
          return rootTag(product, fresh, key.n.length)
        }),
      proveKey: (key, account) => job(() => keyTag(key.n, account)),
      close: () => Promise.resolve(),
    }
  }
}
