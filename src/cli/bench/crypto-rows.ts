/**
 * The privacy layer's costs of section 10 at several key sizes, with `paillier-bigint` beside it where it is installed (P9).
 * Fees and transfers run as a wallet's and a ledger's do: commitments in this thread, Paillier and proofs in a pool of
 * threads; records in this thread. Keys come from fixed seeds, randomness is fresh in every iteration.
 */
import { randomBytes } from 'node:crypto'
import type { Amount } from '../../base/amount.js'
import { utf8 } from '../../base/bytes.js'
import { curve, type Point, scalarToBigint } from '../../base/curve/index.js'
import { prf, prfScalar } from '../../base/digest.js'
import { invariant } from '../../base/errors.js'
import { type Genesis, ledgerIdOf } from '../../base/genesis.js'
import type { AccountView } from '../../base/ports/chain.js'
import { transactionDigest, type Unsigned } from '../../base/transaction.js'
import { transferStatement } from '../../chain-adapter/contract/statements.js'
import { commit } from '../../privacy/commitment.js'
import {
  encodeCiphertext,
  encodeModulus,
  encryptOwn,
  exportPrivateKey,
  type KEY_BITS,
  type PrivateKey,
  privateKeyFromSeed,
} from '../../privacy/paillier.js'
import type { ProofPool } from '../../privacy/pool.js'
import { decryptRecord, encryptRecord, verifyRecord } from '../../privacy/records.js'
import type { ProofCheck, Statement } from '../../privacy/statement.js'
import { encodeFor, freshRandomness, freshScalar, withdraw } from '../../wallet/withdrawal.js'
import { systemEntropy } from '../../wire/environment.js'

/** L of the default genesis. */
const AMOUNT_BITS = 48
/** 1,241.22 and a balance that it is paid from. */
export const AMOUNT = 124_122n as Amount
const BALANCE = 10_000_000n as Amount

export interface Row {
  readonly name: string
  /** What `run` does, for the reader of the table. */
  readonly includes: string
  run(): unknown
}

export type Bits = (typeof KEY_BITS)[number]

/** A payer, a payee and the regulator of a ledger with keys of one size. */
export interface Actors {
  readonly bits: Bits
  readonly payer: PrivateKey
  readonly payee: PrivateKey
  readonly regulator: PrivateKey
}

const seed = (label: string): Uint8Array => prf(new Uint8Array(32), `bench/${label}`)

export function actorsOf(bits: Bits): Actors {
  const key = (name: string): PrivateKey => privateKeyFromSeed(seed(`${name}/${bits}`), bits)
  return { bits, payer: key('payer'), payee: key('payee'), regulator: key('regulator') }
}

let held = 0

/** A proof was verified, or a ciphertext decrypted to what was in it. */
export function holds(verdict: boolean): void {
  invariant(verdict, 'P5', 'an honest proof is refused')
  held += 1
}

/** How often so far. */
export const timesHeld = (): number => held

/** A fee (section 10): one commitment, the same amount under the keys of payee and regulator, one range. */
async function proveFee({ payee, regulator }: Actors, pool: ProofPool): Promise<ProofCheck> {
  const opening = { value: AMOUNT, blinding: scalarToBigint(freshScalar(systemEntropy)) }
  const owners = [
    { role: 'payee', key: payee.publicKey, n: encodeModulus(payee.publicKey) },
    { role: 'regulator', key: regulator.publicKey, n: encodeModulus(regulator.publicKey) },
  ]
  const randomness = owners.map(({ n }) => freshRandomness(n, systemEntropy))
  const encrypting = Promise.all(owners.map(({ n }, i) => pool.encrypt(n, AMOUNT, randomness[i]!)))
  const commitments = [commit(opening.value, opening.blinding)]
  const ciphertexts = await encrypting
  const statement: Statement = {
    kind: 'bench-fee',
    role: 'payer',
    bits: AMOUNT_BITS,
    context: [],
    keys: owners.map(({ role, n }) => ({ role, n })),
    commitments,
    links: owners.map(({ key }, i) => ({
      key: i,
      commitment: 0,
      value: encodeCiphertext(key, ciphertexts[i]!),
    })),
    ranges: [{ commitment: 0, minimum: 0n }],
  }
  return { type: 'statement', statement, proof: await pool.prove(statement, { openings: [opening], randomness }) }
}

export async function feeRows(actors: Actors, pool: ProofPool): Promise<Row[]> {
  const check = await proveFee(actors, pool)
  return [
    {
      name: 'fee: prove',
      includes: 'commit, encrypt under 2 foreign keys, Link for both, range of 48 bits',
      run: () => proveFee(actors, pool),
    },
    {
      name: 'fee: verify',
      includes: 'from proof bytes: parse, range, both Links',
      run: async () => holds(await pool.verify(check)),
    },
  ]
}

export function recordRows({ payer }: Actors): Row[] {
  const content = new Uint8Array(4_096).map((_, i) => i)
  const context = utf8('bench')
  const seal = () => {
    const record = encryptRecord(payer, content, context, randomBytes(32))
    invariant(record.ok, 'P10', 'a record of 4096 bytes is refused')
    return record.value
  }
  const sealed = seal()
  return [
    {
      name: 'record 4096 B: encrypt, prove',
      includes: `${sealed.segments.length} segments and their total by the owner's CRT, one batched proof`,
      run: seal,
    },
    {
      name: 'record 4096 B: verify',
      includes: 'by anyone: sum of the segments and batched proof',
      run: () => holds(verifyRecord(payer.publicKey, sealed, context)),
    },
    {
      name: 'record 4096 B: decrypt',
      includes: "every segment and the total by the owner's CRT, sizes and sum checked; no proof",
      run: () => holds(decryptRecord(payer, sealed).ok),
    },
  ]
}

const signingKey = (name: string) => prfScalar(seed('account'), name)
const accountOf = (name: string): Point => curve.multiplyBase(signingKey(name))

function genesisOf({ bits, regulator }: Actors): Genesis {
  const account = { account: accountOf('regulator'), n: encodeModulus(regulator.publicKey), keyProof: new Uint8Array() }
  return {
    version: 1,
    amountBits: AMOUNT_BITS,
    // P2: no ledger takes 4096 bits. The statement holds this number and nothing follows from it.
    keyBits: bits === 4096 ? 3072 : bits,
    issuer: account,
    regulator: account,
    headKey: accountOf('head'),
    windowMin: 60,
    windowMax: 86_400,
    time: 0,
    clock: null,
    salt: utf8('bench'),
    test: true,
  }
}

const viewOf = (name: string, key: PrivateKey, available: bigint): AccountView => {
  const n = encodeModulus(key.publicKey)
  const zero = encodeFor(n, 1n)
  return {
    account: accountOf(name),
    n,
    nonce: 7,
    available: encodeFor(n, available),
    pendingOpen: zero,
    pendingFrozen: zero,
  }
}

/** A whole transfer (L4), built as the wallet's buildTransfer does and checked as the contract's rule does. */
export async function transferRows(actors: Actors, pool: ProofPool): Promise<Row[]> {
  const genesis = genesisOf(actors)
  const ledger = ledgerIdOf(genesis)
  const randomness = freshRandomness(encodeModulus(actors.payer.publicKey), systemEntropy)
  const payer = viewOf('payer', actors.payer, encryptOwn(actors.payer, BALANCE, randomness))
  const payee = viewOf('payee', actors.payee, 1n)
  const signing = signingKey('payer')
  const keys = { account: payer.account, signing, paillier: await pool.openKey(exportPrivateKey(actors.payer)) }
  const available = { value: BALANCE, randomness }
  const [receiver, regulator] = [payee.n, genesis.regulator.n]

  const build = async () => {
    const made = await withdraw(pool, systemEntropy, { keys, available, amount: AMOUNT, receiver, regulator })
    const { account, nonce } = payer
    const parties = { kind: 'transfer', ledger, account, nonce, to: payee.account } as const
    const unproven = { ...parties, ciphertextTo: made.ciphertextReceiver, ...made.fields }
    const statement = transferStatement(genesis, payer, payee, unproven)
    invariant(statement.ok, 'L4', 'an honest transfer has no statement')
    const proof = await pool.prove(statement.value, made.witness, 'urgent', keys.paillier)
    const unsigned: Unsigned = { ...unproven, proof }
    return { unproven, proof, unsigned, signature: curve.sign(transactionDigest(unsigned), signing) }
  }
  const { unproven, proof, unsigned, signature } = await build()
  const check = async () => {
    const statement = transferStatement(genesis, payer, payee, unproven)
    invariant(statement.ok, 'L4', 'an honest transfer has no statement')
    holds(curve.verify(transactionDigest(unsigned), signature, payer.account))
    holds(await pool.verify({ type: 'statement', statement: statement.value, proof }))
  }
  return [
    {
      name: 'transfer (L4): prove',
      includes: 'commit T and rest, encrypt 1 own and 2 foreign, derive c_T, 4 links under 3 keys, 2 ranges, sign',
      run: build,
    },
    { name: 'transfer (L4): verify', includes: 'derive c_T, signature, 4 links under 3 keys, 2 ranges', run: check },
  ]
}
