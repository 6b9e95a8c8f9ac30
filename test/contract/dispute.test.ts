/** L7 to L9 at their exact boundaries: who may post what until when, who is punishable, when a lock is won or dead. */
import t from 'tap'
import { equalBytes } from '../../src/base/bytes.js'
import { encodeLocks } from '../../src/base/channel-state.js'
import { curve } from '../../src/base/curve/index.js'
import { LIMITS } from '../../src/base/limits.js'
import { lockOutcome, postable, wellFormedState } from '../../src/chain-adapter/contract/channel-rules.js'
import { readQuota, readRevealed } from '../../src/chain-adapter/contract/state.js'
import { fund } from './account-transactions.js'
import {
  closeChannel,
  exit,
  lock,
  openChannel,
  punish,
  reveal,
  secretOf,
  settle,
  signState,
  supersede,
  type TestChannel,
} from './channel-transactions.js'
import { role, signedBy, World } from './world.js'

const [alice, bob, tower] = [role('alice'), role('bob'), role('tower')]
const purses = new Map([
  [alice, 100n],
  [bob, 50n],
])

/** Alice and bob, 60 and 50, dispute window 100 s. */
function opened(): { readonly world: World; readonly channel: TestChannel } {
  const world = new World()
  fund(world, purses)
  const { tx, channel } = openChannel(world, { parties: [alice, bob], deposits: [60n, 50n], window: 100 })
  world.accept(tx)
  return { world, channel }
}

const never = (): boolean => {
  throw new Error('no proof is needed here')
}

t.test('validUntil is the last second of an opening and of a close', (t) => {
  const { world, channel } = opened()
  const closing = closeChannel(world, channel, [60n, 50n])
  const opening = openChannel(world, { parties: [alice, bob], deposits: [1n, 0n] }).tx
  world.pass(60)
  t.equal(world.verdict(closing), 'accepted')
  t.equal(world.verdict(opening), 'accepted')
  world.pass(1)
  t.equal(world.verdict(closing), 'expired')
  t.equal(world.verdict(opening), 'expired')
  t.end()
})

t.test('exit: only a party, only a co-signed state of this channel, only once', (t) => {
  const { world, channel } = opened()
  const one = signState(world, channel, { version: 1, balance: 1n })
  const forged = signState(world, { ...channel, keys: [channel.keys[0], tower.key] }, { version: 1, balance: 1n })
  t.equal(world.verdict(exit(world, channel, 1, forged), never), 'bad_signature', 'bob did not sign that state')
  const [signature, other] = one.signatures
  const swapped = exit(world, channel, 0, { ...one, signatures: [other, signature] })
  t.equal(world.verdict(swapped, never), 'bad_signature')
  const stranger = exit(world, { ...channel, keys: [tower.key, tower.key] }, 0, one)
  t.equal(world.verdict(stranger, never), 'bad_signature', 'a stranger starts no dispute')
  const asBob = { ...exit(world, channel, 0, one), poster: 1 as const }
  t.equal(world.verdict(asBob, never), 'bad_signature', 'nobody posts in the name of the other side')

  const zero = signState(world, channel, { version: 0, balance: 60n })
  t.equal(world.verdict(exit(world, channel, 0, zero), never), 'wrong_state', 'another state 0')
  const unsigned = { ...channel.state0, signatures: one.signatures }
  t.equal(world.verdict(exit(world, channel, 0, unsigned), never), 'bad_signature', 'state 0 needs its signatures too')

  world.accept(exit(world, channel, 1, one), never)
  const { dispute, phase } = world.channel(channel.id)
  t.same([phase, dispute?.poster, dispute?.version, dispute?.deadline], ['disputed', 1, 1, world.at.time + 100])
  t.equal(world.verdict(exit(world, channel, 0, one), never), 'dispute_exists')
  t.end()
})

t.test('nothing inside a signed state makes it unpostable', (t) => {
  const { world, channel } = opened()
  const locks = Array.from({ length: LIMITS.locks_per_state }, () => lock(world, 0, 0n, 2 ** 40))
  const sealed = new Uint8Array(LIMITS.locks_per_state * 24 + 1_024)
  const full = signState(world, channel, { version: 2 ** 48, balance: 1n, locks }, { sealed })
  const terms = { ...world.channel(channel.id), keyBits: world.genesis.keyBits }
  t.ok(postable(terms, full.encoded, full.signatures).ok, '512 locks, no valid ciphertext, nothing sealed')
  t.equal(world.verdict(exit(world, channel, 0, full), never), 'accepted')

  const code = (encoded: Uint8Array) => {
    const result = wellFormedState(terms, encoded)
    return result.ok ? 'accepted' : result.error.code
  }
  const state = (changes: Parameters<typeof signState>[3]) =>
    code(signState(world, channel, { version: 1, balance: 1n }, changes).encoded)
  t.equal(state({ ciphertexts: [new Uint8Array(256), new Uint8Array(255)] }), 'bad_ciphertext')
  t.equal(state({ channel: secretOf(channel, 0, 0) }), 'wrong_state')
  t.equal(state({ locks: new Uint8Array(82) }), 'bad_encoding')
  t.equal(state({ locks: encodeLocks([]) }), 'accepted')
  t.equal(code(full.encoded.subarray(1)), 'bad_encoding')
  const bad = signState(world, channel, { version: 1, balance: 1n }, { locks: new Uint8Array(83) })
  t.equal(world.verdict(exit(world, channel, 0, bad), never), 'bad_point', 'the exit check is the same')
  t.end()
})

t.test('supersede: anybody, higher only, until the deadline; deadline and record stay', (t) => {
  const { world, channel } = opened()
  const [two, three, four] = [2, 3, 4].map((version) => signState(world, channel, { version, balance: 1n }))
  t.equal(world.verdict(supersede(world, channel, three!), never), 'no_dispute')
  world.accept(exit(world, channel, 0, two!), never)
  const recorded = world.channel(channel.id).dispute!
  const rival = signState(world, channel, { version: 2, balance: 2n })
  t.equal(world.verdict(supersede(world, channel, rival), never), 'not_newer', 'another content of that version')
  const forged = signState(world, { ...channel, keys: [tower.key, channel.keys[1]] }, { version: 9, balance: 1n })
  t.equal(world.verdict(supersede(world, channel, forged), never), 'bad_signature')
  world.pass(50)
  world.accept(supersede(world, channel, three!), never)
  const now = world.channel(channel.id).dispute!
  t.same({ ...now, standing: null, standingVersion: 0 }, { ...recorded, standing: null, standingVersion: 0 })
  t.ok(equalBytes(now.standing, three!.encoded))
  t.equal(world.verdict(supersede(world, channel, two!), never), 'not_newer', 'back to a lower version')
  world.pass(50)
  t.equal(world.at.time, recorded.deadline)
  t.equal(world.verdict(supersede(world, channel, four!), never), 'accepted', 'at the deadline')
  t.equal(world.verdict(settle(world, channel, three!, [])), 'dispute_running', 'not yet')
  world.pass(1)
  t.equal(world.verdict(supersede(world, channel, four!), never), 'dispute_over')
  t.equal(world.verdict(settle(world, channel, three!, [])), 'accepted')
  t.end()
})

t.test('punish: by the recorded hash alone, whatever stands, until settled', (t) => {
  const { world, channel } = opened()
  t.equal(world.verdict(punish(world, channel, 0, 2), never), 'no_dispute')
  world.accept(exit(world, channel, 0, signState(world, channel, { version: 2, balance: 1n })), never)
  const newer = signState(world, channel, { version: 3, balance: 1n })
  t.equal(world.verdict(punish(world, channel, 0, 2), never), 'accepted')
  world.accept(supersede(world, channel, newer), never)
  t.equal(world.verdict(punish(world, channel, 1, 2), never), 'wrong_secret', "the other side's secret")
  t.equal(world.verdict(punish(world, channel, 0, 3), never), 'wrong_secret', 'who superseded is never punishable')
  t.equal(world.verdict(punish(world, channel, 1, 3), never), 'wrong_secret', 'who superseded is never punishable')
  t.equal(world.verdict(punish(world, channel, 0, 2), never), 'accepted', 'the record stays')
  world.pass(1_000)
  t.equal(world.verdict(punish(world, channel, 0, 2), never), 'accepted', 'also after the deadline')
  world.accept(settle(world, channel, newer, []))
  t.equal(world.verdict(punish(world, channel, 0, 2), never), 'channel_closed')
  t.end()
})

t.test('both may close while a dispute runs and after it', (t) => {
  const { world, channel } = opened()
  world.accept(exit(world, channel, 0, channel.state0), never)
  t.equal(world.verdict(closeChannel(world, channel, [10n, 100n])), 'accepted')
  world.pass(101)
  world.accept(closeChannel(world, channel, [110n, 0n]))
  t.equal(world.verdict(exit(world, channel, 0, channel.state0), never), 'channel_closed')
  t.end()
})

t.test('a lock is won at its expiry, dead a second later, and a late reveal changes nothing', (t) => {
  const { world, channel } = opened()
  const expiry = world.at.time + 200
  const [won, late] = [lock(world, 0, 5n, expiry), lock(world, 1, 7n, expiry)]
  const state = signState(world, channel, { version: 1, balance: 50n, locks: [won, late] })
  world.accept(exit(world, channel, 1, state), never)
  world.pass(200)
  t.equal(world.verdict(settle(world, channel, state, [])), 'locks_undecided', 'at expiry nothing is dead')
  world.accept(reveal(world, bob, [won.scalar]), never)
  world.pass(1)
  world.accept(reveal(world, alice, [late.scalar]), never)
  t.equal(readRevealed(world.view, curve.multiplyBase(won.scalar))?.time, expiry)
  const point = curve.multiplyBase(won.scalar)
  const publicLock = { id: 0, from: 0 as const, commitment: won.commitment, point, expiry }
  t.same(
    [lockOutcome(publicLock, expiry, expiry + 9), lockOutcome(publicLock, expiry + 1, expiry + 1)],
    ['won', 'dead'],
  )
  t.equal(world.verdict(settle(world, channel, state, [won])), 'bad_proof', 'not as if the won lock were dead')
  t.equal(world.verdict(settle(world, channel, state, [late])), 'bad_proof', 'not as if the dead lock were won')
  world.accept(settle(world, channel, state, []))
  t.same([world.balance(alice).pending, world.balance(bob).pending], [50n, 60n])
  t.end()
})

t.test('reveal: first time seen, known points passed over, a quota per account and block', (t) => {
  const { world } = opened()
  const scalars = Array.from({ length: LIMITS.reveal_quota_per_block }, () => world.scalar())
  const [first, second, ...rest] = scalars
  world.accept(reveal(world, alice, [first!]), never)
  world.pass(5)
  t.equal(world.verdict(reveal(world, bob, [first!]), never), 'known_point')
  t.equal(readQuota(world.view, bob.account, world.at.height), 0, 'nothing was counted')
  world.accept(reveal(world, bob, [first!, second!, second!]), never)
  t.equal(readRevealed(world.view, curve.multiplyBase(first!))?.time, world.at.time - 5, 'the first time stays')
  t.equal(readQuota(world.view, bob.account, world.at.height), 1, 'one was new')
  world.accept(reveal(world, bob, [...rest, world.scalar()], tower), never)
  t.equal(readQuota(world.view, bob.account, world.at.height), LIMITS.reveal_quota_per_block)
  t.equal(world.verdict(reveal(world, bob, [world.scalar()]), never), 'quota_exceeded')
  t.equal(
    world.verdict(reveal(world, bob, [world.scalar()], tower), never),
    'quota_exceeded',
    "a tower has its client's",
  )
  t.equal(world.verdict(reveal(world, alice, [world.scalar()]), never), 'accepted', 'the quota of others is theirs')
  world.pass(0)
  t.equal(world.verdict(reveal(world, bob, [world.scalar()]), never), 'accepted', 'a new block')

  const delegated = reveal(world, bob, [world.scalar()], tower)
  const forAlice = signedBy(tower, { ...delegated, account: alice.account })
  t.equal(world.verdict(forAlice, never), 'bad_signature', 'bob delegated, alice did not')
  const byOther = signedBy(alice, delegated)
  t.equal(world.verdict(byOther, never), 'bad_signature', 'the delegate signs')
  t.end()
})
