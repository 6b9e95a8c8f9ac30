/**
 * A ledger in memory with named roles, and everything a test needs to make valid transactions on it: it remembers the
 * opening of every ciphertext and commitment that it made. All of it is deterministic. 1024-bit keys, `test` genesis.
 */
import { bigintToBytes, bytesToBigint, bytesToHex, u64, utf8 } from '../../src/base/bytes.js'
import {
  curve,
  type Element,
  modQ,
  type Point,
  type Scalar,
  type Signature,
  scalarToBigint,
} from '../../src/base/curve/index.js'
import { prfBytes, prfScalar, sha256 } from '../../src/base/digest.js'
import { type Genesis, ledgerIdOf } from '../../src/base/genesis.js'
import type { AccountId, LedgerId } from '../../src/base/ids.js'
import type { AccountView, ChannelView, LedgerTime } from '../../src/base/ports/chain.js'
import {
  decodeTransaction,
  encodeTransaction,
  type Transaction,
  transactionDigest,
} from '../../src/base/transaction.js'
import { type Applied, apply } from '../../src/chain-adapter/contract/apply.js'
import { genesisWrites } from '../../src/chain-adapter/contract/genesis.js'
import { readAccount, readChannel, type StateView } from '../../src/chain-adapter/contract/state.js'
import { runCheck } from '../../src/privacy/check.js'
import { commit } from '../../src/privacy/commitment.js'
import { proveKey } from '../../src/privacy/key-proof.js'
import { decrypt, encodeCiphertext, encryptOwn } from '../../src/privacy/paillier.js'
import { encodeModulus, type PrivateKey, privateKeyFromSeed } from '../../src/privacy/paillier-key.js'
import { prove } from '../../src/privacy/proof.js'
import type { ProofCheck, Statement } from '../../src/privacy/statement.js'

const KEY_BITS = 1024

export interface Role {
  readonly name: string
  readonly key: Scalar
  readonly account: AccountId
  readonly paillier: PrivateKey
  readonly n: Uint8Array
  readonly keyProof: Uint8Array
}

const roles = new Map<string, Role>()

/** The same name is the same person everywhere. */
export function role(name: string): Role {
  const known = roles.get(name)
  if (known !== undefined) return known
  const seed = sha256(utf8(`meridian test role ${name}`))
  const key = prfScalar(seed, 'test-account')
  const account = curve.multiplyBase(key)
  const paillier = privateKeyFromSeed(seed, KEY_BITS)
  const n = encodeModulus(paillier.publicKey)
  const made = { name, key, account, paillier, n, keyProof: proveKey(paillier, account) }
  roles.set(name, made)
  return made
}

export type Verify = (check: ProofCheck) => boolean

/** Signs with an account key: for a transaction that one account signs. */
export const signedBy = <T extends object>(signer: Role, unsigned: T): T & { readonly signature: Signature } => ({
  ...unsigned,
  signature: curve.sign(transactionDigest(unsigned as unknown as Transaction), signer.key),
})

/** Signs with two keys: account keys for an opening, channel keys for a close. */
export function signedByBoth<T extends object>(
  keys: readonly [Scalar, Scalar],
  unsigned: T,
): T & { readonly signatures: [Signature, Signature] } {
  const digest = transactionDigest(unsigned as unknown as Transaction)
  return { ...unsigned, signatures: [curve.sign(digest, keys[0]), curve.sign(digest, keys[1])] }
}

interface Opening {
  readonly value: bigint
  readonly blinding: bigint
}

export function testGenesis(changes: Partial<Genesis> = {}): Genesis {
  const [issuer, regulator] = [role('issuer'), role('regulator')]
  return {
    version: 1,
    amountBits: 16,
    keyBits: KEY_BITS,
    issuer: { account: issuer.account, n: issuer.n, keyProof: issuer.keyProof },
    regulator: { account: regulator.account, n: regulator.n, keyProof: regulator.keyProof },
    headKey: role('issuer').account,
    windowMin: 10,
    windowMax: 1_000,
    time: 1_000,
    clock: null,
    salt: utf8('test'),
    test: true,
    ...changes,
  }
}

export class World {
  readonly genesis: Genesis
  readonly ledger: LedgerId
  readonly records: Map<string, Uint8Array>
  readonly view: StateView = { get: (key) => this.records.get(key) }
  at: LedgerTime
  /** What a cheating prover proves instead of the statement that its transaction calls for. */
  tamper: (statement: Statement) => Statement = (statement) => statement
  readonly #ciphertexts = new Map<string, { readonly value: bigint; readonly s: bigint }>()
  readonly #commitments = new Map<string, Opening>()
  #draws = 0

  constructor(genesis: Partial<Genesis> = {}) {
    this.genesis = testGenesis(genesis)
    this.ledger = ledgerIdOf(this.genesis)
    this.records = new Map(genesisWrites(this.genesis))
    this.at = { height: 1, time: this.genesis.time }
  }

  /** Lets ledger time pass, one block at a time. */
  pass(seconds: number): void {
    this.at = { height: this.at.height + 1, time: this.at.time + seconds }
  }

  apply(tx: Transaction, verify: Verify = runCheck): Applied {
    const decoded = decodeTransaction(encodeTransaction(tx))
    return decoded.ok ? apply(this.view, this.genesis, decoded.value, this.at, verify) : decoded
  }

  /** Applies and keeps. @throws where the transaction is refused. */
  accept(tx: Transaction, verify: Verify = runCheck): void {
    const applied = this.apply(tx, verify)
    if (!applied.ok) throw new Error(`${tx.kind} refused: ${applied.error.code} ${applied.error.detail ?? ''}`)
    for (const [key, bytes] of applied.writes) this.records.set(key, bytes)
  }

  /** The code of the refusal, or 'accepted'; nothing is kept. */
  verdict(tx: Transaction, verify: Verify = runCheck): string {
    const applied = this.apply(tx, verify)
    return applied.ok ? 'accepted' : applied.error.code
  }

  account(who: Role): AccountView {
    const account = readAccount(this.view, who.account)
    if (account === undefined) throw new Error(`${who.name} has no account`)
    return account
  }

  channel(id: Uint8Array): ChannelView {
    const channel = readChannel(this.view, id)
    if (channel === undefined) throw new Error('no such channel')
    return channel
  }

  /** What the ledger owes to a role, decrypted. */
  balance(who: Role): { readonly available: bigint; readonly pending: bigint } {
    const account = this.account(who)
    const open = (ciphertext: Uint8Array): bigint => decrypt(who.paillier, bytesToBigint(ciphertext))
    return { available: open(account.available), pending: open(account.pendingOpen) + open(account.pendingFrozen) }
  }

  random(length: number): Uint8Array {
    return prfBytes(this.ledger, length, 'test-random', u64(this.#draws++))
  }

  scalar(): Scalar {
    return prfScalar(this.ledger, 'test-scalar', u64(this.#draws++))
  }

  encrypt(to: Role, value: bigint): Uint8Array {
    const s = bytesToBigint(this.random(32))
    return this.remember(encodeCiphertext(to.paillier.publicKey, encryptOwn(to.paillier, value, s)), value, s)
  }

  remember(ciphertext: Uint8Array, value: bigint, s: bigint): Uint8Array {
    this.#ciphertexts.set(bytesToHex(ciphertext), { value, s })
    return ciphertext
  }

  /** Value and s of a ciphertext that was made here; the ciphertext 1 is zero with s = 0. */
  secret(ciphertext: Uint8Array): { readonly value: bigint; readonly s: bigint } {
    if (bytesToBigint(ciphertext) === 1n) return { value: 0n, s: 0n }
    const known = this.#ciphertexts.get(bytesToHex(ciphertext))
    if (known === undefined) throw new Error('a ciphertext of unknown randomness')
    return known
  }

  commit(value: bigint): Point {
    const opening = { value, blinding: scalarToBigint(this.scalar()) }
    const commitment = commit(opening.value, opening.blinding) as Point
    this.#commitments.set(bytesToHex(commitment), opening)
    return commitment
  }

  opening(commitment: Element): Opening {
    const known = commitment === null ? { value: 0n, blinding: 0n } : this.#commitments.get(bytesToHex(commitment))
    if (known === undefined) throw new Error('a commitment of unknown opening')
    return known
  }

  /** Remembers the opening of a sum or difference that the contract computes by itself. */
  combine(plus: readonly Element[], minus: readonly Element[] = []): Element {
    let [value, blinding] = [0n, 0n]
    for (const element of plus) {
      value += this.opening(element).value
      blinding += this.opening(element).blinding
    }
    for (const element of minus) {
      value -= this.opening(element).value
      blinding -= this.opening(element).blinding
    }
    const combined = commit(value, modQ(blinding))
    if (combined !== null) this.#commitments.set(bytesToHex(combined), { value, blinding: modQ(blinding) })
    return combined
  }

  /** Proves a statement whose ciphertexts and commitments were all made here. */
  prove(honest: Statement): Uint8Array {
    const statement = this.tamper(honest)
    const witness = {
      openings: statement.commitments.map((commitment) => this.opening(commitment)),
      randomness: statement.links.map((link) => this.secret(link.value).s),
    }
    return prove(statement, witness, this.random(32))
  }
}

/** Big-endian, of a ciphertext's length. */
export const ciphertextOf = (value: bigint): Uint8Array => bigintToBytes(value, KEY_BITS / 4)
