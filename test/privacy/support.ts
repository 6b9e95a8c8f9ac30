/** Keys, openings and statements for the tests of this folder. Amounts are below 2^16 unless said: eight digits, so fast. */
import { bytesToBigint, utf8 } from '../../src/base/bytes.js'
import { prf, prfScalar } from '../../src/base/digest.js'
import { commit } from '../../src/privacy/commitment.js'
import {
  encodeCiphertext,
  encodeModulus,
  encrypt,
  type PrivateKey,
  privateKeyFromSeed,
  randomnessBits,
  subtractCiphertexts,
} from '../../src/privacy/paillier.js'
import type { Statement, StatementKey, Witness } from '../../src/privacy/statement.js'

const seed = (label: string): Uint8Array => prf(new Uint8Array(32), `test/${label}`)

const made = new Map<string, PrivateKey>()

/** The same key for the same name and size, made once per test file. */
export function keyOf(name: string, bits = 1024): PrivateKey {
  const label = `${name}/${bits}`
  const key = made.get(label) ?? privateKeyFromSeed(seed(label), bits)
  made.set(label, key)
  return key
}

export const entropy = (label: string): Uint8Array => seed(`entropy/${label}`)
export const blinding = (label: string): bigint => bytesToBigint(prfScalar(seed('blinding'), label))
/** A full-length s for a key of `bits`. */
export const randomness = (label: string, bits = 1024): bigint => {
  const bytes = randomnessBits(bits) / 8
  return bytesToBigint(new Uint8Array([...seed(`s/${label}`), ...seed(`t/${label}`)]).slice(0, bytes))
}

export const namedKey = (role: string, key: PrivateKey): StatementKey => ({ role, n: encodeModulus(key.publicKey) })

export interface Case {
  readonly statement: Statement
  readonly witness: Witness
}

const context = [utf8('ledger'), utf8('account of alice'), utf8('nonce 7'), utf8('c_A')]

/** A whole transfer (L4, P7): alice pays `amount` of `balance` to bob, carol is the regulator. */
export function transferCase(balance: bigint, amount: bigint, bits = 16, keyBits = 1024): Case {
  const [alice, bob, carol] = ['alice', 'bob', 'carol'].map((name) => keyOf(name, keyBits)) as [
    PrivateKey,
    PrivateKey,
    PrivateKey,
  ]
  const s = (label: string) => randomness(label, keyBits)
  const openings = [
    { value: amount, blinding: blinding('T') },
    { value: balance - amount, blinding: blinding('A') },
  ]
  const before = encrypt(alice.publicKey, balance, s('A'))
  const rest = encrypt(alice.publicKey, balance - amount, s('A´'))
  const taken = subtractCiphertexts(alice.publicKey, before, rest)
  if (!taken.ok) throw new Error('no unit')
  const statement: Statement = {
    kind: 'transfer',
    role: 'payer',
    bits,
    context,
    keys: [namedKey('payer', alice), namedKey('payee', bob), namedKey('regulator', carol)],
    commitments: openings.map(({ value, blinding }) => commit(value, blinding)),
    links: [
      { key: 0, commitment: 0, value: encodeCiphertext(alice.publicKey, taken.value) },
      { key: 0, commitment: 1, value: encodeCiphertext(alice.publicKey, rest) },
      { key: 1, commitment: 0, value: encodeCiphertext(bob.publicKey, encrypt(bob.publicKey, amount, s('bob'))) },
      { key: 2, commitment: 0, value: encodeCiphertext(carol.publicKey, encrypt(carol.publicKey, amount, s('carol'))) },
    ],
    ranges: [
      { commitment: 0, minimum: 1n },
      { commitment: 1, minimum: 0n },
    ],
  }
  return { statement, witness: { openings, randomness: [s('A') - s('A´'), s('A´'), s('bob'), s('carol')] } }
}

/** One commitment, one ciphertext per key, one range: a fee (section 10). */
export function feeCase(
  value: bigint,
  { minimum = 0n as 0n | 1n, bits = 16, keys = ['bob', 'carol'], keyBits = 1024 } = {},
): Case {
  const owners = keys.map((name) => keyOf(name, keyBits))
  const opening = { value, blinding: blinding('fee') }
  return {
    statement: {
      kind: 'fee',
      role: 'payer',
      bits,
      context,
      keys: owners.map((key, i) => namedKey(keys[i]!, key)),
      commitments: [commit(value, opening.blinding)],
      links: owners.map(({ publicKey }, key) => ({
        key,
        commitment: 0,
        value: encodeCiphertext(publicKey, encrypt(publicKey, value, randomness(`fee${key}`, keyBits))),
      })),
      ranges: [{ commitment: 0, minimum }],
    },
    witness: { openings: [opening], randomness: owners.map((_, key) => randomness(`fee${key}`, keyBits)) },
  }
}
