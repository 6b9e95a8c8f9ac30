/** L6: a close that both parties sign; open to them during a dispute too. */

import type { ChannelView } from '../../base/ports/chain.js'
import { ok, type Result, refuse } from '../../base/result.js'
import { type TransactionOf, transactionDigest } from '../../base/transaction.js'
import { areUnits } from './ciphertext.js'
import { credit, type Env, haveLength, liveChannel, partiesOf, type Rule } from './rule.js'
import { type Draft, writeChannel } from './state.js'
import { closeStatement, type Parties } from './statements.js'

type Balances = Pick<TransactionOf<'settle'>, 'ciphertexts' | 'ciphertextsRegulator'>

export const closeChannel: Rule<'closeChannel'> = (env, tx) => {
  const channel = liveChannel(env, tx.channel)
  if (!channel.ok) return channel
  if (env.now > tx.validUntil) return refuse('expired')
  if (!balancesHaveLength(env, tx)) return refuse('bad_ciphertext', 'length')
  const parties = partiesOf(env, channel.value)
  if (!parties.ok) return parties
  const digest = transactionDigest(tx)
  return ok({
    signed: [
      { key: channel.value.channelKeys[0], digest, signature: tx.signatures[0] },
      { key: channel.value.channelKeys[1], digest, signature: tx.signatures[1] },
    ],
    effect: (draft) => {
      const paid = payOut(env, draft, channel.value, parties.value, tx)
      if (!paid.ok) return paid
      const statement = closeStatement(env.genesis, channel.value, parties.value, tx)
      return ok([{ type: 'statement', statement, proof: tx.proof }])
    },
  })
}

export const balancesHaveLength = (env: Env, fields: Balances): boolean =>
  haveLength(env, ...fields.ciphertexts, ...fields.ciphertextsRegulator)

/** L6, L9: each side's balance to its pendingOpen, at once, and the channel is over. */
export function payOut(env: Env, draft: Draft, channel: ChannelView, parties: Parties, fields: Balances): Result<void> {
  for (const side of [0, 1] as const) {
    if (!areUnits(parties[side].n, fields.ciphertexts[side])) return refuse('bad_ciphertext', 'ciphertexts')
    credit(draft, channel.accounts[side], fields.ciphertexts[side])
  }
  if (!areUnits(env.genesis.regulator.n, ...fields.ciphertextsRegulator)) {
    return refuse('bad_ciphertext', 'ciphertextsRegulator')
  }
  endChannel(draft, channel)
  return ok(undefined)
}

/** The record stays, so that no id is ever used twice; the dispute has nothing left to say. */
export const endChannel = (draft: Draft, channel: ChannelView): void =>
  writeChannel(draft, { ...channel, phase: 'closed', dispute: null })
