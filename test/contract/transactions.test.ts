/** L2 to L9: every kind of transaction accepted once with real proofs, its effect, and that none of them works twice. */
import t from 'tap'
import { bytesToHex } from '../../src/base/bytes.js'
import { curve } from '../../src/base/curve/index.js'
import { type Transaction, type TransactionKind, zTransaction } from '../../src/base/transaction.js'
import { apply } from '../../src/chain-adapter/contract/apply.js'
import { checkGenesis } from '../../src/chain-adapter/contract/genesis.js'
import { readClock, readMinted, readRevealed } from '../../src/chain-adapter/contract/state.js'
import { checkDigest, runCheck } from '../../src/privacy/check.js'
import type { ProofCheck } from '../../src/privacy/statement.js'
import { fund, mint, redeem, register, rollover, transfer } from './account-transactions.js'
import {
  closeChannel,
  exit,
  lock,
  openChannel,
  punish,
  reveal,
  settle,
  signState,
  supersede,
} from './channel-transactions.js'
import { role, signedBy, World } from './world.js'

const [alice, bob, issuer, tower] = [role('alice'), role('bob'), role('issuer'), role('tower')]
const purses = new Map([
  [alice, 100n],
  [bob, 50n],
])
const seen = new Set<TransactionKind>()

const digestText = (check: ProofCheck): string => bytesToHex(checkDigest(check))

/** Accepts a transaction, after what holds for every kind has been checked. `again`: the code of its second time. */
function accept(world: World, tx: Transaction, again: string): void {
  const before = new Map(world.records)
  const first = world.apply(tx)
  t.ok(first.ok, `${tx.kind} is accepted`)

  const checks: ProofCheck[] = []
  apply(world.view, world.genesis, tx, world.at, (check) => checks.push(check) > 0)
  const verdicts = new Map(checks.map((check) => [digestText(check), runCheck(check)]))
  const asked: string[] = []
  const ahead = apply(world.view, world.genesis, tx, world.at, (check) => {
    asked.push(digestText(check))
    return verdicts.get(digestText(check)) ?? false
  })
  t.same(ahead, first, `${tx.kind}: same inputs, same writes; verdicts computed ahead do as well`)
  t.same(asked, [...verdicts.keys()], `${tx.kind}: applying with all proofs assumed lists what is asked`)
  for (const rejected of verdicts.keys()) {
    t.equal(
      world.verdict(tx, (check) => digestText(check) !== rejected),
      'bad_proof',
      `${tx.kind} needs each proof`,
    )
  }
  t.same(world.records, before, `${tx.kind}: nothing is written to the view`)

  world.accept(tx)
  seen.add(tx.kind)
  t.equal(world.verdict(tx), again, `${tx.kind} works once only`)
}

t.test('accounts and money', (t) => {
  const world = new World()
  t.ok(checkGenesis(world.genesis, runCheck).ok)
  accept(world, register(world, alice), 'account_exists')
  accept(world, register(world, bob), 'account_exists')
  accept(world, mint(world, alice, 1_000n), 'bad_nonce')
  t.same(world.balance(alice), { available: 0n, pending: 1_000n })
  accept(world, rollover(world, alice), 'bad_nonce')
  t.same(world.balance(alice), { available: 0n, pending: 1_000n }, 'open is frozen first')
  accept(world, rollover(world, alice), 'bad_nonce')
  t.same(world.balance(alice), { available: 1_000n, pending: 0n })

  accept(world, transfer(world, alice, bob, 1n), 'bad_nonce')
  accept(world, transfer(world, alice, bob, 999n), 'bad_nonce')
  t.same(world.balance(alice), { available: 0n, pending: 0n }, 'a balance can be spent to nothing')
  world.accept(rollover(world, bob))
  world.accept(rollover(world, bob))
  accept(world, redeem(world, bob, 400n), 'bad_nonce')
  t.same(world.balance(bob), { available: 600n, pending: 0n })
  t.same(world.balance(issuer), { available: 0n, pending: 0n }, 'a redeem burns')
  t.equal(world.opening(readMinted(world.view)).value, 1_000n, 'what was minted does not shrink')

  accept(world, mint(world, issuer, 5n), 'bad_nonce')
  t.same(world.balance(issuer), { available: 0n, pending: 5n }, 'the issuer can hold money; nonce and credit add up')
  t.end()
})

t.test('incoming payments void no proof of the owner (L2)', (t) => {
  const world = new World()
  fund(world, purses)
  const rolled = rollover(world, bob)
  const paid = transfer(world, bob, alice, 1n)
  world.accept(transfer(world, alice, bob, 10n))
  world.accept(mint(world, bob, 10n))
  t.equal(world.verdict(paid), 'accepted')
  t.equal(world.verdict(rolled), 'accepted')
  t.end()
})

t.test('a channel with both deposits, closed by both', (t) => {
  const world = new World()
  fund(world, purses)
  const { tx, channel } = openChannel(world, { parties: [alice, bob], deposits: [60n, 50n] })
  accept(world, tx, 'bad_nonce')
  t.same([world.balance(alice).available, world.balance(bob).available], [40n, 0n])
  accept(world, closeChannel(world, channel, [0n, 110n]), 'channel_closed')
  t.same([world.balance(alice).pending, world.balance(bob).pending], [0n, 110n])
  t.equal(world.verdict(exit(world, channel, 0, channel.state0)), 'channel_closed')
  t.end()
})

t.test('a dispute from exit to settlement', (t) => {
  const world = new World()
  fund(world, purses)
  const { tx, channel } = openChannel(world, { parties: [alice, bob], deposits: [60n, 0n] })
  accept(world, tx, 'bad_nonce')
  accept(world, exit(world, channel, 0, channel.state0), 'dispute_exists')
  const expiry = world.at.time + 50
  const locks = [
    lock(world, 0, 1n, expiry),
    lock(world, 0, 2n, expiry),
    lock(world, 1, 4n, expiry),
    lock(world, 1, 8n, expiry),
  ]
  const newer = signState(world, channel, { version: 7, balance: 20n, locks })
  accept(world, supersede(world, channel, newer), 'not_newer')
  world.accept(register(world, tower))
  accept(world, reveal(world, bob, [locks[0]!.scalar], tower), 'known_point')
  accept(world, reveal(world, alice, [locks[2]!.scalar]), 'known_point')
  const found = readRevealed(world.view, curve.multiplyBase(locks[2]!.scalar))
  t.same(found, { scalar: locks[2]!.scalar, time: world.at.time })
  world.pass(101)
  // Won by bob: 1. Back to alice: 2. Won by alice: 4. Back to bob: 8.
  accept(world, settle(world, channel, newer, [locks[1]!, locks[2]!]), 'channel_closed')
  t.same([world.balance(alice).pending, world.balance(bob).pending], [26n, 34n])
  t.end()
})

t.test('punishment pays the whole pool to the other side', (t) => {
  for (const poster of [0, 1] as const) {
    const world = new World()
    fund(world, purses)
    const { tx, channel } = openChannel(world, { parties: [alice, bob], deposits: [60n, 50n] })
    world.accept(tx)
    const locks = [lock(world, poster, 9n, 2_000)]
    world.accept(exit(world, channel, poster, signState(world, channel, { version: 3, balance: 1n, locks })))
    accept(world, punish(world, channel, poster, 3), 'channel_closed')
    const winner = channel.parties[1 - poster]!
    t.equal(world.balance(winner).pending, 110n)
    t.equal(world.balance(channel.parties[poster]).pending, 0n)
  }
  t.end()
})

t.test('ledger time by a quorum of ticks (A3)', (t) => {
  const clocks = [role('alice'), role('bob'), role('carol')]
  const accounts = clocks.map(({ account }) => account)
  const world = new World({ clock: { accounts, quorum: 2, stepMax: 30, blocksMin: 2 } })
  for (const who of clocks) world.accept(register(world, who))
  const tick = (who = alice, time = 0) =>
    signedBy(who, {
      kind: 'tick' as const,
      ledger: world.ledger,
      account: who.account,
      nonce: world.account(who).nonce,
      time,
    })
  t.equal(world.verdict(tick(alice, 1_010)), 'bad_tick', 'too few blocks since the last step')
  world.pass(5_000)
  t.equal(world.verdict(tick(alice, 1_000)), 'bad_tick', 'not forward')
  t.equal(world.verdict(tick(alice, 1_031)), 'bad_tick', 'too large a step')
  t.equal(world.verdict(tick(issuer, 1_010)), 'not_allowed')
  accept(world, tick(alice, 1_030), 'bad_nonce')
  world.accept(tick(alice, 1_029))
  t.equal(readClock(world.view)?.time, 1_000, 'one account is no quorum, however often it speaks')
  world.accept(tick(bob, 1_020))
  t.equal(readClock(world.view)?.time, 1_020, 'the latest time that two have reached')
  t.equal(world.verdict(tick(alice, 1_030)), 'bad_tick', 'the next step waits some blocks')
  world.pass(0)
  world.pass(0)
  world.accept(tick(alice, 1_030))
  t.equal(readClock(world.view)?.time, 1_020, 'votes for the last step are spent')
  t.end()
})

t.test('every kind was accepted', (t) => {
  t.same([...seen].sort(), zTransaction.options.map((option) => option.shape.kind.value).sort())
  t.end()
})
