/** How an account comes onto the ledger (L3): a request with the key proof, the issuer's admission, the transaction. */
import { z } from 'zod'
import { bytesToHex, equalBytes, hexToBytes } from '../base/bytes.js'
import { curve, parseSignature, type Signature } from '../base/curve/index.js'
import type { AccountId } from '../base/ids.js'
import { parseAccountId } from '../base/ids.js'
import type { SubmitReceipt } from '../base/ports/chain.js'
import { ok, type Result, refuse } from '../base/result.js'
import { admissionDigest } from '../base/transaction.js'
import type { Wallet } from './wallet.js'

/** What an institution hands to the issuer, as JSON; nothing in it is secret. Hexadecimal throughout. */
export const zRegistrationRequest = z.strictObject({
  account: z.string().max(66),
  n: z
    .string()
    .max(1_024)
    .regex(/^([0-9a-f]{2})+$/),
  keyProof: z
    .string()
    .max(16_384)
    .regex(/^([0-9a-f]{2})+$/),
})
export type RegistrationRequest = z.output<typeof zRegistrationRequest>

export async function registrationRequest({ parts }: Wallet): Promise<RegistrationRequest> {
  const { keys, pool } = parts
  const keyProof = await pool.proveKey(keys.paillier, keys.account)
  return { account: bytesToHex(keys.account), n: bytesToHex(keys.paillier.n), keyProof: bytesToHex(keyProof) }
}

/** The issuer's signature, hexadecimal. Errors: `not_issuer`, `bad_point`, `bad_key` where the key proof (P3) fails. */
export async function admit({ parts }: Wallet, request: RegistrationRequest): Promise<Result<string>> {
  const { chain, keys, pool } = parts
  if (!equalBytes(chain.genesis.issuer.account, keys.account)) return refuse('not_issuer')
  const account = parseAccountId(request.account)
  if (!account.ok) return account
  const n = hexToBytes(request.n)
  if (n.length * 8 !== chain.genesis.keyBits) return refuse('bad_key', 'length')
  const proof = hexToBytes(request.keyProof)
  if (!(await pool.verify({ type: 'key', n, account: account.value, proof }))) return refuse('bad_key', 'proof')
  return ok(bytesToHex(curve.sign(admissionDigest(chain.ledger, account.value, n), keys.signing)))
}

/** Registers with the issuer's admission. Done already counts as done. Errors: the contract's codes. */
export function register(wallet: Wallet, admission: string): Promise<Result<{ readonly account: AccountId }>> {
  return wallet.exclusive(async () => {
    const { chain, keys } = wallet.parts
    const signature = parseAdmission(admission)
    if (!signature.ok) return signature
    if ((await chain.account(keys.account)).value !== undefined) return ok({ account: keys.account })
    const receipt = await submitRegister(wallet, signature.value)
    return receipt.ok ? ok({ account: keys.account }) : receipt
  })
}

async function submitRegister(wallet: Wallet, admission: Signature): Promise<Result<SubmitReceipt>> {
  const { chain, keys, pool } = wallet.parts
  const unsigned = {
    kind: 'register',
    ledger: chain.ledger,
    account: keys.account,
    nonce: 0,
    n: keys.paillier.n,
    keyProof: await pool.proveKey(keys.paillier, keys.account),
    admission,
  } as const
  return wallet.send('register', { tx: { ...unsigned, signature: wallet.sign(unsigned) }, rows: [] })
}

function parseAdmission(text: string): Result<Signature> {
  return /^[0-9a-f]{128}$/.test(text) ? parseSignature(hexToBytes(text)) : refuse('not_admitted', 'not a signature')
}
