/** L7: exit, supersede, punish. They check signatures, version, counts and lengths only; nothing is proved. */
import { equalBytes } from '../../base/bytes.js'
import { otherSide } from '../../base/channel-state.js'
import { sha256 } from '../../base/digest.js'
import { ok, refuse } from '../../base/result.js'
import { transactionDigest } from '../../base/transaction.js'
import { endChannel } from './channel-close.js'
import { stateSigners, wellFormedState } from './channel-rules.js'
import { credit, liveChannel, type Rule } from './rule.js'
import { writeChannel } from './state.js'

export const exit: Rule<'exit'> = (env, tx) => {
  const found = liveChannel(env, tx.channel)
  if (!found.ok) return found
  const channel = found.value
  if (channel.phase === 'disputed') return refuse('dispute_exists')
  const state = wellFormedState({ ...channel, keyBits: env.genesis.keyBits }, tx.state)
  if (!state.ok) return state
  return ok({
    signed: [
      { key: channel.channelKeys[tx.poster], digest: transactionDigest(tx), signature: tx.signature },
      ...stateSigners(channel, tx.state, tx.stateSignatures),
    ],
    effect: (draft) => {
      writeChannel(draft, {
        ...channel,
        phase: 'disputed',
        dispute: {
          poster: tx.poster,
          version: state.value.version,
          revocation: state.value.revocations[tx.poster],
          deadline: env.now + channel.window,
          standing: tx.state,
          standingVersion: state.value.version,
        },
      })
      return ok([])
    },
  })
}

export const supersede: Rule<'supersede'> = (env, tx) => {
  const found = liveChannel(env, tx.channel)
  if (!found.ok) return found
  const channel = found.value
  const { dispute } = channel
  if (dispute === null) return refuse('no_dispute')
  if (env.now > dispute.deadline) return refuse('dispute_over')
  const state = wellFormedState({ ...channel, keyBits: env.genesis.keyBits }, tx.state)
  if (!state.ok) return state
  const { version } = state.value
  if (version <= dispute.standingVersion) return refuse('not_newer')
  return ok({
    signed: stateSigners(channel, tx.state, tx.stateSignatures),
    effect: (draft) => {
      // L7: deadline and record stay: the recorded poster can be punished, whoever superseded cannot.
      writeChannel(draft, { ...channel, dispute: { ...dispute, standing: tx.state, standingVersion: version } })
      return ok([])
    },
  })
}

export const punish: Rule<'punish'> = (env, tx) => {
  const found = liveChannel(env, tx.channel)
  if (!found.ok) return found
  const channel = found.value
  const { dispute } = channel
  if (dispute === null) return refuse('no_dispute')
  if (!equalBytes(sha256(tx.secret), dispute.revocation)) return refuse('wrong_secret')
  return ok({
    signed: [],
    effect: (draft) => {
      // L7: the whole pool, locks included, goes to the other side; its ciphertext was made at the opening.
      const winner = otherSide(dispute.poster)
      credit(draft, channel.accounts[winner], channel.poolCiphertexts[winner])
      endChannel(draft, channel)
      return ok([])
    },
  })
}
