/** L4: a confidential payment between two accounts (the paper's 3.2 and 3.3). */
import { equalBytes } from '../../base/bytes.js'
import { ok, refuse } from '../../base/result.js'
import { areUnits } from './ciphertext.js'
import { actingAccount, byAccount, credit, haveLength, knownAccount, type Rule, update } from './rule.js'
import { transferStatement } from './statements.js'

export const transfer: Rule<'transfer'> = (env, tx) => {
  if (equalBytes(tx.account, tx.to)) return refuse('same_account')
  const payer = actingAccount(env, tx)
  if (!payer.ok) return payer
  const payee = knownAccount(env, tx.to)
  if (!payee.ok) return payee
  if (!haveLength(env, tx.ciphertextRest, tx.ciphertextTo, tx.ciphertextRegulator)) {
    return refuse('bad_ciphertext', 'length')
  }
  return ok({
    signed: [byAccount(tx)], // 2e
    effect: (draft) => {
      if (!areUnits(payee.value.n, tx.ciphertextTo)) return refuse('bad_ciphertext', 'ciphertextTo')
      if (!areUnits(env.genesis.regulator.n, tx.ciphertextRegulator)) {
        return refuse('bad_ciphertext', 'ciphertextRegulator')
      }
      const statement = transferStatement(env.genesis, payer.value, payee.value, tx) // 2a to 2d
      if (!statement.ok) return statement
      update(draft, tx.account, ({ nonce }) => ({ nonce: nonce + 1, available: tx.ciphertextRest }))
      credit(draft, tx.to, tx.ciphertextTo)
      return ok([{ type: 'statement', statement: statement.value, proof: tx.proof }])
    },
  })
}
