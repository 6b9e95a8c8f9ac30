/** Accounts (L2, L3): register and rollover. */
import { ok, refuse } from '../../base/result.js'
import { admissionDigest } from '../../base/transaction.js'
import { areUnits, multiply, zeroCiphertext } from './ciphertext.js'
import { actingAccount, byAccount, haveLength, type Rule, update } from './rule.js'
import { readAccount, writeAccount } from './state.js'

export const register: Rule<'register'> = (env, tx) => {
  if (readAccount(env.view, tx.account) !== undefined) return refuse('account_exists')
  if (tx.nonce !== 0) return refuse('bad_nonce')
  if (tx.n.length !== env.genesis.keyBits / 8) return refuse('bad_key')
  return ok({
    signed: [
      byAccount(tx),
      {
        key: env.genesis.issuer.account,
        digest: admissionDigest(env.ledger, tx.account, tx.n),
        signature: tx.admission,
        code: 'not_admitted',
      },
    ],
    effect: (draft) => {
      const zero = zeroCiphertext(tx.n)
      writeAccount(draft, {
        account: tx.account,
        n: tx.n,
        nonce: 1,
        available: zero,
        pendingOpen: zero,
        pendingFrozen: zero,
      })
      return ok([{ type: 'key', n: tx.n, account: tx.account, proof: tx.keyProof }])
    },
  })
}

export const rollover: Rule<'rollover'> = (env, tx) => {
  const owner = actingAccount(env, tx)
  if (!owner.ok) return owner
  const { n, available, pendingFrozen } = owner.value
  if (!haveLength(env, tx.ciphertextNew) || tx.root.length !== n.length) return refuse('bad_ciphertext', 'length')
  return ok({
    signed: [byAccount(tx)],
    effect: (draft) => {
      if (!areUnits(n, tx.ciphertextNew)) return refuse('bad_ciphertext', 'ciphertextNew')
      // L2: the frozen stage gives the owner's proof a base that no credit moves.
      update(draft, tx.account, ({ nonce, pendingOpen }) => ({
        nonce: nonce + 1,
        available: tx.ciphertextNew,
        pendingFrozen: pendingOpen,
        pendingOpen: zeroCiphertext(n),
      }))
      return ok([
        { type: 'rollover', n, product: multiply(n, available, pendingFrozen), fresh: tx.ciphertextNew, root: tx.root },
      ])
    },
  })
}
