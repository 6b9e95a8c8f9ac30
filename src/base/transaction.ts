/** Every transaction of the ledger (L3): one schema, one canonical encoding, one digest to sign. */
import { z } from 'zod'
import type { Digest } from './bytes.js'
import { cbor, decodeAs, encodeAs, zBytesUpTo, zCount, zDigest, zPoint, zScalar, zSide, zSignature } from './codec.js'
import { taggedHash } from './digest.js'
import { LIMITS } from './limits.js'
import { type Result, refuse } from './result.js'

/** A Paillier ciphertext, big-endian, exactly 2 * bytes(n) long: the contract checks the length against the key. */
const zCiphertext = zBytesUpTo(1024)
/** A proof in `privacy`'s encoding. */
const zProof = zBytesUpTo(32_768)

/** Account transactions: signed over all their bytes and the account's nonce. */
const account = { ledger: zDigest, account: zPoint, nonce: zCount, signature: zSignature }
/** Channel transactions carry no account nonce: the channel's own state makes them once-only. */
const channel = { ledger: zDigest, channel: zDigest }

export const zRegister = z.strictObject({
  kind: z.literal('register'),
  ...account,
  /** Paillier modulus, big-endian, exact length of genesis. */
  n: zBytesUpTo(512),
  /** P3. */
  keyProof: zBytesUpTo(8_192),
  /** The issuer's signature over admissionDigest. */
  admission: zSignature,
})

export const zMint = z.strictObject({
  kind: z.literal('mint'),
  ...account,
  to: zPoint,
  commitment: zPoint,
  ciphertextTo: zCiphertext,
  ciphertextRegulator: zCiphertext,
  proof: zProof,
})

/** L4 and P7: `rest` and `ciphertextRest` are A'; the payer's own ciphertext of T is derived by both sides. */
const withdrawal = {
  commitment: zPoint,
  rest: zPoint,
  ciphertextRest: zCiphertext,
  ciphertextRegulator: zCiphertext,
  proof: zProof,
}

export const zTransfer = z.strictObject({
  kind: z.literal('transfer'),
  ...account,
  to: zPoint,
  ciphertextTo: zCiphertext,
  ...withdrawal,
})

/** A transfer to the issuer that burns. */
export const zRedeem = z.strictObject({
  kind: z.literal('redeem'),
  ...account,
  ciphertextIssuer: zCiphertext,
  ...withdrawal,
})

export const zRollover = z.strictObject({
  kind: z.literal('rollover'),
  ...account,
  ciphertextNew: zCiphertext,
  /** y with c_available * c_frozen * y^n = c_new mod n^2, bytes(n) long. */
  root: zBytesUpTo(512),
})

/** One party's deposit (L5): its own prover, its own transcript. */
export const zDepositHalf = z.strictObject({ ...withdrawal, ciphertextPeer: zCiphertext })
export type DepositHalf = z.output<typeof zDepositHalf>

export const zOpenChannel = z.strictObject({
  kind: z.literal('openChannel'),
  ...channel,
  /** [opener, peer] throughout. */
  accounts: z.tuple([zPoint, zPoint]),
  /** The opener's account nonce, consumed. */
  nonce: zCount,
  /** Dispute window, seconds. */
  window: zCount,
  validUntil: zCount,
  /** Digest of state 0, which both have signed. */
  state: zDigest,
  channelKeys: z.tuple([zPoint, zPoint]),
  halves: z.tuple([zDepositHalf, zDepositHalf.nullable()]),
  signatures: z.tuple([zSignature, zSignature]),
})

/** L6's statement: both balances, each under its owner's key and the regulator's. */
const balances = {
  ciphertexts: z.tuple([zCiphertext, zCiphertext]),
  ciphertextsRegulator: z.tuple([zCiphertext, zCiphertext]),
  proof: zProof,
}

export const zCloseChannel = z.strictObject({
  kind: z.literal('closeChannel'),
  ...channel,
  validUntil: zCount,
  /** C_A; C_B = C_pool - C_A is derived. */
  commitment: zPoint,
  ...balances,
  /** Made with the channel keys. */
  signatures: z.tuple([zSignature, zSignature]),
})

const posted = {
  /** encodeChannelState's bytes. */
  state: zBytesUpTo(65_536),
  /** With the channel keys, over channelStateDigest: content of the transaction, not its signature. */
  stateSignatures: z.tuple([zSignature, zSignature]),
}

/** `signature` is the poster's channel key over transactionDigest: only a party starts a dispute. */
export const zExit = z.strictObject({
  kind: z.literal('exit'),
  ...channel,
  poster: zSide,
  ...posted,
  signature: zSignature,
})
export const zSupersede = z.strictObject({ kind: z.literal('supersede'), ...channel, ...posted })
export const zPunish = z.strictObject({ kind: z.literal('punish'), ...channel, secret: zDigest })
/** Whoever proves it settles; the proof is bound to the channel and the standing version. */
export const zSettle = z.strictObject({ kind: z.literal('settle'), ...channel, ...balances })

export const zReveal = z.strictObject({
  kind: z.literal('reveal'),
  ledger: zDigest,
  /** Whose quota counts. */
  account: zPoint,
  /** A tower reveals under its client's delegation: the client's signature over delegationDigest (L8). */
  delegate: z.strictObject({ account: zPoint, delegation: zSignature }).nullable(),
  scalars: z.array(zScalar).min(1).max(LIMITS.reveal_scalars),
  /** By the delegate where there is one, else by the account. */
  signature: zSignature,
})

/** Ledgers without time of their own (A3): a genesis-named account advances it. */
export const zTick = z.strictObject({ kind: z.literal('tick'), ...account, time: zCount })

export const zTransaction = z.discriminatedUnion('kind', [
  zRegister,
  zMint,
  zRedeem,
  zTransfer,
  zRollover,
  zOpenChannel,
  zCloseChannel,
  zExit,
  zSupersede,
  zPunish,
  zReveal,
  zSettle,
  zTick,
])
export type Transaction = z.output<typeof zTransaction>
export type TransactionKind = Transaction['kind']
export type TransactionOf<K extends TransactionKind> = Extract<Transaction, { kind: K }>

export const encodeTransaction = (tx: Transaction): Uint8Array => encodeAs(zTransaction, tx)

export function decodeTransaction(bytes: Uint8Array): Result<Transaction> {
  if (bytes.length > LIMITS.transaction_bytes) return refuse('too_long', 'transaction')
  return decodeAs(zTransaction, bytes)
}

/** Identity of a transaction: also what makes a second submission of the same bytes recognisable. */
export const transactionId = (encoded: Uint8Array): Digest => taggedHash('transaction-id', encoded)

/** A transaction before anybody signed it. */
export type Unsigned<T extends Transaction = Transaction> = T extends Transaction
  ? Omit<T, 'signature' | 'signatures'>
  : never

/** What is signed: the canonical encoding without `signature` and `signatures`. */
export function transactionDigest(tx: Transaction | Unsigned): Digest {
  const { signature: _one, signatures: _both, ...unsigned } = tx as Record<string, unknown>
  return taggedHash('transaction', cbor(unsigned))
}

/** The issuer admits an account with this modulus to this ledger (L3). */
export const admissionDigest = (ledger: Uint8Array, account: Uint8Array, n: Uint8Array): Digest =>
  taggedHash('admission', ledger, account, n)

/** A client lets a tower reveal under its quota (L8). */
export const delegationDigest = (ledger: Uint8Array, client: Uint8Array, tower: Uint8Array): Digest =>
  taggedHash('reveal-delegation', ledger, client, tower)
