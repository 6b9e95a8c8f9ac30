/** K1: the wallet against a real ledger: every verb, credits, idempotency, rebuilding from ledger and seed. */
import t from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { equalBytes } from '../../src/base/bytes.js'
import type { Result } from '../../src/base/result.js'
import { createPool } from '../../src/privacy/pool.js'
import { proofWork } from '../../src/privacy/proof-work.js'
import { memoryStore } from '../../src/store/memory.js'
import { admit, register, registrationRequest } from '../../src/wallet/registration.js'
import type { Wallet } from '../../src/wallet/wallet.js'
import { must } from '../chain-adapter/fixtures.js'
import { People } from './people.js'

const pool = createPool({ threads: 2 })
const people = new People(pool)
const ledger = await people.ledger()
const issuer = await people.wallet('issuer', ledger)
t.teardown(async () => {
  await ledger.close()
  await pool.close()
})

const cents = (value: bigint) => value as Amount
const total = async (wallet: Wallet) => {
  const { available, pendingOpen, pendingFrozen } = must(await wallet.balance())
  return available + pendingOpen + pendingFrozen
}
const codeOf = (result: Result<unknown>) => (result.ok ? 'ok' : result.error.code)

t.test('an account is admitted by its key proof, and registers once', async (t) => {
  const alice = await people.wallet('alice', ledger)
  t.equal(codeOf(await alice.balance()), 'not_registered')
  t.equal(codeOf(await alice.transfer('k', issuer.account, cents(1n))), 'not_registered')
  const request = await registrationRequest(alice)
  t.equal(codeOf(await admit(alice, request)), 'not_issuer')
  const mallory = await registrationRequest(await people.wallet('mallory', ledger))
  t.equal(codeOf(await admit(issuer, { ...request, keyProof: mallory.keyProof })), 'bad_key')
  t.equal(codeOf(await register(alice, '00'.repeat(64))), 'not_admitted')
  const admission = must(await admit(issuer, request))
  t.ok((await register(alice, admission)).ok, 'a refused attempt stands in no way')
  t.ok((await register(alice, admission)).ok, 'again is no error')
  t.same(must(await alice.balance()), { available: 0n, pendingOpen: 0n, pendingFrozen: 0n })
})

t.test('mint, transfer and redeem move what they say; credits roll over when needed', async (t) => {
  const alice = await people.wallet('alice', ledger)
  const bob = await people.registered('bob', ledger, issuer)
  must(await issuer.mint('m1', alice.account, cents(100_000n)))
  must(await issuer.mint('m2', alice.account, cents(23_456n)))
  t.equal(must(await alice.balance()).pendingOpen, 123_456n)
  must(await alice.transfer('t1', bob.account, cents(123_455n)))
  t.same(must(await alice.balance()), { available: 1n, pendingOpen: 0n, pendingFrozen: 0n })
  t.equal(await total(bob), 123_455n)
  must(await bob.transfer('t2', alice.account, cents(55n)))
  must(await bob.redeem('r1', cents(23_400n)))
  t.equal(await total(bob), 100_000n)
  t.equal(await total(alice), 56n)
  t.equal(codeOf(await alice.transfer('t3', bob.account, cents(57n))), 'insufficient_funds')
  t.equal(codeOf(await alice.transfer('t4', bob.account, cents(0n))), 'bad_amount')
  t.equal(codeOf(await alice.transfer('t5', alice.account, cents(1n))), 'same_account')
  const { keys } = await people.get('nobody')
  t.equal(codeOf(await alice.transfer('t6', keys.account, cents(1n))), 'unknown_account')
  t.equal(codeOf(await alice.mint('m3', bob.account, cents(1n))), 'not_issuer')
  t.equal(codeOf(await issuer.mint('m4', bob.account, cents(1n << 48n))), 'bad_amount')
})

t.test('one key acts once, also when asked at once and after a restart', async (t) => {
  const store = memoryStore()
  const carol = await people.registered('carol', ledger, issuer, store)
  const bob = await people.wallet('bob', ledger)
  const before = await total(bob)
  must(await issuer.mint('m-carol', carol.account, cents(1_000n)))
  const both = await Promise.all([
    carol.transfer('same', bob.account, cents(10n)),
    carol.transfer('same', bob.account, cents(10n)),
  ])
  t.same(must(both[0]), must(both[1]))
  const again = await people.wallet('carol', ledger, store)
  t.same(must(await again.transfer('same', bob.account, cents(10n))), must(both[0]))
  t.equal(await total(bob), before + 10n)
  t.equal(await total(carol), 990n)
})

t.test('a lost disk costs nothing: balances and supply come back from ledger and seed', async (t) => {
  const carol = await people.wallet('carol', ledger) // an empty store
  const bob = await people.wallet('bob', ledger)
  t.equal(await total(carol), 990n)
  must(await carol.transfer('after', bob.account, cents(990n)))
  t.equal(await total(carol), 0n)
  const rebuilt = await people.wallet('issuer', ledger)
  must(await rebuilt.mint('m5', carol.account, cents(5n)))
  t.equal(await total(carol), 5n)
  must(await issuer.mint('m6', carol.account, cents(6n)))
  t.equal(await total(carol), 11n)
})

t.test('a half that was given away can be voided; proofs are made in workers only', async (t) => {
  const carol = await people.wallet('carol', ledger)
  const before = (await carol.parts.chain.account(carol.account)).value!.available
  must(await carol.exclusive(() => carol.voidHalf()))
  t.notOk(equalBytes(before, (await carol.parts.chain.account(carol.account)).value!.available))
  t.equal(await total(carol), 11n)
  t.same(proofWork(), { proved: 0, verified: 0, derived: 0 }, 'nothing on this thread')
})
