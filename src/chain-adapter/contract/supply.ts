/** Money that enters and leaves the ledger (L3): mint and redeem. */
import { equalBytes } from '../../base/bytes.js'
import { sumElements } from '../../base/curve/index.js'
import { ok, refuse } from '../../base/result.js'
import { areUnits } from './ciphertext.js'
import { actingAccount, byAccount, consumeNonce, credit, haveLength, knownAccount, type Rule, update } from './rule.js'
import { readMinted, writeMinted } from './state.js'
import { mintStatement, redeemStatement } from './statements.js'

export const mint: Rule<'mint'> = (env, tx) => {
  if (!equalBytes(tx.account, env.genesis.issuer.account)) return refuse('not_allowed')
  const issuer = actingAccount(env, tx)
  if (!issuer.ok) return issuer
  const payee = knownAccount(env, tx.to)
  if (!payee.ok) return payee
  if (!haveLength(env, tx.ciphertextTo, tx.ciphertextRegulator)) return refuse('bad_ciphertext', 'length')
  return ok({
    signed: [byAccount(tx)],
    effect: (draft) => {
      if (!areUnits(payee.value.n, tx.ciphertextTo)) return refuse('bad_ciphertext', 'ciphertextTo')
      if (!areUnits(env.genesis.regulator.n, tx.ciphertextRegulator)) {
        return refuse('bad_ciphertext', 'ciphertextRegulator')
      }
      const minted = readMinted(draft)
      consumeNonce(draft, tx.account)
      credit(draft, tx.to, tx.ciphertextTo)
      // L3: only grows: what a redeem took back could not be subtracted from a total that the issuer must open.
      writeMinted(draft, sumElements([minted, tx.commitment]))
      return ok([
        { type: 'statement', statement: mintStatement(env.genesis, payee.value, minted, tx), proof: tx.proof },
      ])
    },
  })
}

export const redeem: Rule<'redeem'> = (env, tx) => {
  const payer = actingAccount(env, tx)
  if (!payer.ok) return payer
  if (!haveLength(env, tx.ciphertextRest, tx.ciphertextIssuer, tx.ciphertextRegulator)) {
    return refuse('bad_ciphertext', 'length')
  }
  return ok({
    signed: [byAccount(tx)],
    effect: (draft) => {
      if (!areUnits(env.genesis.issuer.n, tx.ciphertextIssuer)) return refuse('bad_ciphertext', 'ciphertextIssuer')
      if (!areUnits(env.genesis.regulator.n, tx.ciphertextRegulator)) {
        return refuse('bad_ciphertext', 'ciphertextRegulator')
      }
      const statement = redeemStatement(env.genesis, payer.value, tx)
      if (!statement.ok) return statement
      update(draft, tx.account, ({ nonce }) => ({ nonce: nonce + 1, available: tx.ciphertextRest }))
      return ok([{ type: 'statement', statement: statement.value, proof: tx.proof }])
    },
  })
}
