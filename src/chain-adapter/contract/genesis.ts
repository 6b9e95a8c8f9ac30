/** L1: what a ledger starts from. */
import { equalBytes } from '../../base/bytes.js'
import type { Genesis } from '../../base/genesis.js'
import { ok, type Result, refuse } from '../../base/result.js'
import type { ProofCheck } from '../../privacy/statement.js'
import { zeroCiphertext } from './ciphertext.js'
import { Draft, writeAccount, writeClock } from './state.js'

/** What no schema can say about a genesis; P3 for both of its accounts. Every party checks it once, before it joins. */
export function checkGenesis(genesis: Genesis, verify: (check: ProofCheck) => boolean): Result<void> {
  const { issuer, regulator, clock } = genesis
  if (genesis.amountBits % 2 !== 0) return refuse('bad_genesis', 'amountBits')
  if (genesis.keyBits === 1024 && !genesis.test) return refuse('bad_genesis', 'keyBits')
  if (genesis.windowMin > genesis.windowMax) return refuse('bad_genesis', 'window')
  if (equalBytes(issuer.account, regulator.account)) return refuse('bad_genesis', 'accounts')
  if (clock !== null && clock.quorum > clock.accounts.length) return refuse('bad_genesis', 'clock')
  for (const { account, n, keyProof } of [issuer, regulator]) {
    if (n.length !== genesis.keyBits / 8) return refuse('bad_genesis', 'n')
    if (!verify({ type: 'key', n, account, proof: keyProof })) return refuse('bad_genesis', 'keyProof')
  }
  return ok(undefined)
}

/** The first records: issuer and regulator as ordinary accounts, and the clock where genesis names one. */
export function genesisWrites(genesis: Genesis): ReadonlyMap<string, Uint8Array> {
  const draft = new Draft({ get: () => undefined })
  for (const { account, n } of [genesis.issuer, genesis.regulator]) {
    const zero = zeroCiphertext(n)
    writeAccount(draft, { account, n, nonce: 0, available: zero, pendingOpen: zero, pendingFrozen: zero })
  }
  if (genesis.clock !== null) {
    writeClock(draft, { time: genesis.time, height: 0, votes: genesis.clock.accounts.map(() => null) })
  }
  return draft.writes
}
