/** L5: one transaction, signed by both, locks one deposit or two. */
import { equalBytes } from '../../base/bytes.js'
import { otherSide, type Side } from '../../base/channel-state.js'
import { sumElements } from '../../base/curve/index.js'
import { ok, type Result, refuse } from '../../base/result.js'
import { type DepositHalf, type TransactionOf, transactionDigest } from '../../base/transaction.js'
import type { ProofCheck } from '../../privacy/statement.js'
import { channelIdOf } from './channel-rules.js'
import { areUnits, multiply, zeroCiphertext } from './ciphertext.js'
import { actingAccount, consumeNonce, type Env, haveLength, knownAccount, type Rule, update } from './rule.js'
import { type Draft, writeChannel } from './state.js'
import { depositStatement, type Parties, WITHDRAWN_LINK } from './statements.js'

type Open = TransactionOf<'openChannel'>

export const openChannel: Rule<'openChannel'> = (env, tx) => {
  const parties = admitTerms(env, tx)
  if (!parties.ok) return parties
  const digest = transactionDigest(tx)
  return ok({
    signed: [
      { key: tx.accounts[0], digest, signature: tx.signatures[0] },
      { key: tx.accounts[1], digest, signature: tx.signatures[1] },
    ],
    effect: (draft) => open(env, tx, parties.value, draft),
  })
}

function admitTerms(env: Env, tx: Open): Result<Parties> {
  const { windowMin, windowMax } = env.genesis
  if (equalBytes(tx.accounts[0], tx.accounts[1])) return refuse('same_account')
  if (tx.window < windowMin || tx.window > windowMax) return refuse('bad_window')
  if (env.now > tx.validUntil) return refuse('expired')
  const opener = actingAccount(env, { account: tx.accounts[0], nonce: tx.nonce })
  if (!opener.ok) return opener
  const peer = knownAccount(env, tx.accounts[1])
  if (!peer.ok) return peer
  const deposits = [tx.halves[0].commitment, tx.halves[1]?.commitment ?? null] as const
  if (!equalBytes(tx.channel, channelIdOf({ ...tx, ledger: env.ledger, deposits }))) return refuse('wrong_channel_id')
  for (const half of tx.halves) {
    if (half === null) continue
    if (!haveLength(env, half.ciphertextRest, half.ciphertextPeer, half.ciphertextRegulator)) {
      return refuse('bad_ciphertext', 'length')
    }
  }
  return ok([opener.value, peer.value])
}

interface Deposit {
  readonly check: ProofCheck
  /** The deposit under the key of each side. */
  readonly ciphertexts: readonly [Uint8Array, Uint8Array]
}

/** One half against the exact `available` of its owner: a stale one only refuses, nothing needs a refund. */
function deposit(env: Env, tx: Open, parties: Parties, side: Side, half: DepositHalf): Result<Deposit> {
  if (!areUnits(parties[otherSide(side)].n, half.ciphertextPeer)) return refuse('bad_ciphertext', 'ciphertextPeer')
  if (!areUnits(env.genesis.regulator.n, half.ciphertextRegulator))
    return refuse('bad_ciphertext', 'ciphertextRegulator')
  const statement = depositStatement(env.genesis, parties, tx, side, half)
  if (!statement.ok) return statement
  const own = statement.value.links[WITHDRAWN_LINK]!.value
  return ok({
    check: { type: 'statement', statement: statement.value, proof: half.proof },
    ciphertexts: side === 0 ? [own, half.ciphertextPeer] : [half.ciphertextPeer, own],
  })
}

function open(env: Env, tx: Open, parties: Parties, draft: Draft): Result<readonly ProofCheck[]> {
  const pool = sumElements(tx.halves.map((half) => half?.commitment ?? null))
  if (pool === null) return refuse('bad_point', 'pool')
  const checks: ProofCheck[] = []
  let opener = zeroCiphertext(parties[0].n)
  let peer = zeroCiphertext(parties[1].n)
  for (const side of [0, 1] as const) {
    const half = tx.halves[side]
    if (half === null) continue
    const made = deposit(env, tx, parties, side, half)
    if (!made.ok) return made
    checks.push(made.value.check)
    opener = multiply(parties[0].n, opener, made.value.ciphertexts[0])
    peer = multiply(parties[1].n, peer, made.value.ciphertexts[1])
    update(draft, tx.accounts[side], () => ({ available: half.ciphertextRest }))
  }
  consumeNonce(draft, tx.accounts[0])
  writeChannel(draft, {
    channel: tx.channel,
    accounts: tx.accounts,
    channelKeys: tx.channelKeys,
    window: tx.window,
    state: tx.state,
    pool,
    poolCiphertexts: [opener, peer],
    phase: 'open',
    dispute: null,
  })
  return ok(checks)
}
