import t from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { equalBytes, u64 } from '../../src/base/bytes.js'
import { curve, type Scalar } from '../../src/base/curve/index.js'
import { prfScalar } from '../../src/base/digest.js'
import { idText } from '../../src/base/ids.js'
import { build, contentTotal, openSealed } from '../../src/channel/content.js'
import type { Effect, OfferBody } from '../../src/channel/types.js'
import { decrypt, parseCiphertext } from '../../src/privacy/paillier.js'
import { must } from '../chain-adapter/fixtures.js'
import { alice, bob, openPair, type Party, World } from './world.js'

const opened = openPair()
const pay = (amount: bigint, reference = 0): OfferBody => ({
  kind: 'pay',
  amount: amount as Amount,
  reference: u64(reference),
})
const scalarOf = (index: number): Scalar => prfScalar(new Uint8Array(32), 'test-scalar', u64(index))
const lock = (amount: bigint, index: number, expiry: number): OfferBody => ({
  kind: 'lock',
  amount: amount as Amount,
  point: curve.multiplyBase(scalarOf(index)),
  expiry,
  payload: new Uint8Array(1_366).fill(index & 255),
})
const results = (effects: readonly Effect[]) =>
  effects.flatMap((effect) => (effect.type === 'proposed' ? effect.results : []))
const version = (party: Party): number => party.state.current.content.version
const balances = (party: Party): readonly bigint[] => party.state.current.content.balances

function live(): World {
  const world = new World(opened)
  world.connect()
  world.settle()
  return world
}

t.test('opening gives both the same state 0, signed by both, and rounds start after funding', async (t) => {
  const world = live()
  t.ok(equalBytes(world.alice.state.current.encoded, world.bob.state.current.encoded))
  t.same(balances(world.alice), [1_000_000n, 500_000n])
  t.equal(world.alice.toldOf('channelReady').length, 1)
  t.equal(world.bob.toldOf('channelReady').length, 1)
})

t.test(
  'one pay is commit, ack, revoke; each side decrypts its own balance; the state opens from the secret',
  async (t) => {
    const world = live()
    world.alice.sent.length = 0
    world.bob.sent.length = 0
    world.input(0, { type: 'offer', operations: [pay(1_234n, 5)] })
    world.settle()
    t.same(
      world.alice.sent.map((message) => message.name),
      ['propose', 'commit', 'revoke'],
    )
    t.same(
      world.bob.sent.map((message) => message.name),
      ['ack'],
    )
    t.same(balances(world.bob), [998_766n, 501_234n])
    t.same(
      world.bob.toldOf('paid').map(({ amount, from, reference }) => [amount, from, reference]),
      [[1_234n, 0, u64(5)]],
    )
    t.equal(world.alice.toldOf('paid').length, 1)
    const { state } = world.alice.state.current
    for (const [side, person] of [alice, bob].entries()) {
      const parsed = parseCiphertext(person.paillier.publicKey, state.ciphertexts[side]!)
      t.equal(parsed.ok && decrypt(person.paillier, parsed.value), balances(world.alice)[side])
    }
    t.ok(equalBytes(world.alice.context.secret, world.bob.context.secret))
    const open = openSealed(world.bob.context.secret, state)
    t.same(open.ok && open.value.balances, [998_766n, 501_234n])
  },
)

t.test('operations of both sides at once; 1,000 queued pays flow in few rounds', async (t) => {
  const world = live()
  const many = (n: number) => Array.from({ length: n }, (_, index) => pay(1n, index))
  t.equal(results(world.input(0, { type: 'offer', operations: [pay(7n)] })).filter((r) => r.ok).length, 1)
  for (const operation of many(1_000)) world.input(0, { type: 'offer', operations: [operation] })
  world.input(1, { type: 'offer', operations: many(1_000) })
  world.settle()
  t.same(balances(world.alice), [999_993n, 500_007n])
  t.equal(world.alice.toldOf('paid').length, 2_001)
  t.equal(world.bob.toldOf('paid').length, 2_001)
  t.ok(version(world.alice) <= 5, `${version(world.alice)} rounds`)
})

t.test('256 locks each way at once, claimed and returned; too many are refused', async (t) => {
  const world = live()
  const expiry = world.ledger.time + 500
  for (const side of [0, 1] as const) {
    const locks = Array.from({ length: 257 }, (_, index) => lock(100n, side * 1_000 + index, expiry))
    const answers = results(world.input(side, { type: 'offer', operations: locks }))
    t.equal(answers.filter((answer) => answer.ok).length, 256)
    t.match(answers[256], { ok: false, error: { code: 'too_many_locks' } })
  }
  world.settle()
  t.equal(world.alice.state.current.content.locks.length, 512)
  t.equal(world.bob.toldOf('lockIn').length, 512)
  t.ok(equalBytes(world.alice.state.current.encoded, world.bob.state.current.encoded))
  for (const [side, index] of [
    [1, 0],
    [0, 1_000],
  ] as const) {
    const incoming = world.parties[side].state.current.content.locks.filter((open) => open.from !== side)
    for (const [position, { from, id }] of incoming.entries()) {
      if (position % 2 === 0)
        world.input(side, { type: 'fulfill', lock: { from, id }, scalar: scalarOf(index + position) })
      else world.input(side, { type: 'giveBack', lock: { from, id }, reason: Uint8Array.of(9) })
    }
  }
  world.settle()
  t.equal(world.alice.state.current.content.locks.length, 0)
  t.same(balances(world.alice), [1_000_000n, 500_000n])
  t.equal(world.alice.toldOf('lockClaimed').length, 128)
  t.equal(world.alice.toldOf('lockSettled').length, 256)
  t.equal(world.bob.toldOf('lockReturned').length, 256)
  t.equal(world.bob.state.notes.size, 0)
})

t.test('a lock that its payee has claimed keeps no slot from what is offered after the claim', async (t) => {
  for (const payer of [0, 1] as const) {
    const world = live()
    const payee = payer === 0 ? 1 : 0
    const expiry = world.ledger.time + 500
    const full = Array.from({ length: 256 }, (_, index) => lock(100n, index, expiry))
    world.input(payer, { type: 'offer', operations: full })
    world.settle()
    const one = { type: 'offer', operations: [lock(100n, 999, expiry)] } as const
    t.match(results(world.input(payer, one)), [{ ok: false, error: { code: 'too_many_locks' } }])
    // A round is under way while the claim comes, so that it waits with the proposals.
    world.input(0, { type: 'offer', operations: [pay(1n, 0)] })
    const { from, id } = world.parties[payee].state.current.content.locks[0]!
    world.input(payee, { type: 'fulfill', lock: { from, id }, scalar: scalarOf(0) })
    while (!world.parties[payer].state.pending.some(({ body }) => body.kind === 'claim')) t.ok(world.deliver(payee))
    t.match(results(world.input(payer, one)), [{ ok: true }])
    world.settle()
    t.equal(world.parties[payer].state.current.content.locks.length, 256)
    t.equal(world.parties[payer].toldOf('offerRefused').length, 0)
    t.equal(world.parties[payee].toldOf('lockIn').length, 257)
  }
})

t.test('C6: what a claim taught is told before the message that acknowledges it', async (t) => {
  for (const payer of [0, 1] as const) {
    const world = live()
    const payee = payer === 0 ? 1 : 0
    world.input(payer, { type: 'offer', operations: [lock(50n, 1, world.ledger.time + 100)] })
    world.settle()
    world.input(payee, { type: 'fulfill', lock: { from: payer, id: 0 }, scalar: scalarOf(1) })
    let told = false
    while (world.parties[payee].outgoing.length > 0 || world.parties[payer].outgoing.length > 0) {
      const bytes = world.parties[payee].outgoing.shift()
      const effects = bytes === undefined ? [] : world.parties[payer].receive(bytes)
      for (const effect of effects) {
        if (effect.type === 'lockClaimed') told = true
        if (effect.type === 'send' && (effect.message.name === 'ack' || effect.message.name === 'commit')) t.ok(told)
      }
      world.deliver(payer)
    }
    t.ok(told)
    const proposals = world.parties.map(({ sent }) => sent.filter(({ name }) => name === 'propose').length)
    t.same(proposals, [1, 1], 'the lock by its payer, the claim by its payee: nobody repeats it')
    t.equal(world.parties[payer].sent.concat(world.parties[payee].sent).filter(({ name }) => name === 'drop').length, 0)
  }
})

t.test('C9, C10: refusals are values with a code, and nothing is sent', async (t) => {
  const world = live()
  const { time } = world.ledger
  const cases: readonly [OfferBody, string][] = [
    [pay(0n), 'amount_out_of_bounds'],
    [pay(2_000_000_000n), 'amount_out_of_bounds'],
    [pay(999_991n), 'balance_too_low'],
    [{ ...pay(1n), reference: new Uint8Array(65) } as OfferBody, 'operation_too_long'],
    [lock(1n, 1, time + 19), 'expiry_out_of_bounds'],
    [lock(1n, 1, time + 10_001), 'expiry_out_of_bounds'],
  ]
  world.alice.sent.length = 0
  for (const [body, code] of cases) {
    t.match(results(world.input(0, { type: 'offer', operations: [body] })), [{ ok: false, error: { code } }], code)
  }
  t.equal(world.alice.sent.length, 0)
  world.cut()
  t.match(results(world.input(0, { type: 'offer', operations: [pay(1n)] })), [{ error: { code: 'channel_offline' } }])
})

t.test('C9: the queue is bounded', async (t) => {
  const world = live()
  const answers = results(world.input(1, { type: 'offer', operations: Array.from({ length: 4_097 }, () => pay(1n)) }))
  t.equal(answers.filter((answer) => answer.ok).length, 4_096)
  t.match(answers[4_096], { error: { code: 'queue_full' } })
})

t.test('C5: the follower waits until its view reaches h, and for its own R', async (t) => {
  const world = live()
  world.ledger.height += 5
  world.ledger.time += 5
  world.input(0, { type: 'offer', operations: [pay(1n)] })
  world.ledger.height -= 5
  world.ledger.time -= 5
  while (world.deliver(0));
  t.equal(version(world.bob), 0)
  t.match(world.bob.state.waiting?.on, 'height of 1')
  world.tick(3)
  t.equal(version(world.bob), 0)
  world.ledger.height += 4
  world.tick(3)
  t.equal(version(world.bob), 1)
  // R: no worker ever answers alice and bob again
  const slow = live()
  for (let round = 0; round < 6; round++) {
    slow.input(0, { type: 'offer', operations: [pay(1n)] })
    while (slow.deliver(0) || slow.deliver(1));
  }
  t.ok(version(slow.bob) < 6)
  t.equal(slow.alice.state.breach ?? slow.bob.state.breach, null)
  slow.settle()
  t.same(balances(slow.bob), [999_994n, 500_006n])
})

t.test('C10: a late scalar is revealed, and the registry then lets the payer claim for the payee', async (t) => {
  for (const payer of [0, 1] as const) {
    const world = live()
    const payee = payer === 0 ? 1 : 0
    const expiry = world.ledger.time + 100
    world.input(payer, { type: 'offer', operations: [lock(50n, 1, expiry)] })
    world.settle()
    world.cut()
    world.input(payee, { type: 'fulfill', lock: { from: payer, id: 0 }, scalar: scalarOf(1) })
    t.equal(world.ledger.revealed.size, 0, 'not before the margin')
    world.tick(91)
    t.equal(world.ledger.revealed.size, 1)
    world.tick(1)
    t.equal(world.parties[payer].toldOf('lockClaimed').length, 1, 'the payer learns it from the ledger')
    world.tick(100)
    world.heal()
    world.tick(1)
    world.settle()
    t.equal(world.parties[payee].toldOf('lockSettled').length, 1, 'won after its expiry')
    t.equal(world.parties[0].state.current.content.locks.length, 0)
  }
})

t.test('C12, L8: a dead lock is told while the peer is away and taken back when it returns', async (t) => {
  for (const payer of [0, 1] as const) {
    const world = live()
    world.input(payer, { type: 'offer', operations: [lock(50n, 1, world.ledger.time + 100)] })
    world.settle()
    world.cut()
    world.tick(100)
    t.equal(world.parties[payer].toldOf('lockDead').length, 0, 'alive at its expiry')
    world.tick(1)
    world.tick(1)
    t.equal(world.parties[payer].toldOf('lockDead').length, 1)
    world.heal()
    t.same(
      world.parties[payer].toldOf('lockReturned').map(({ by }) => by),
      [payer],
    )
    t.same(balances(world.alice), [1_000_000n, 500_000n])
  }
})

t.test('C12, R3: a reveal counts while the lock is only in a proposal or commit that has left', async (t) => {
  for (const [side, where] of [
    [0, 'the leader’s commit, not acknowledged'],
    [1, 'the follower’s proposal, not committed'],
  ] as const) {
    const world = live()
    const me = world.parties[side]
    const [effect] = world.input(side, { type: 'offer', operations: [lock(700n, 7, world.ledger.time + 100)] })
    t.ok(effect)
    world.cut()
    t.equal(me.state.current.content.locks.length, 0, where)
    const point = curve.multiplyBase(scalarOf(7))
    world.ledger.revealed.set(idText(point), { scalar: scalarOf(7), time: world.ledger.time })
    world.tick(1)
    t.same(
      me.toldOf('lockClaimed').map(({ scalar }) => scalar),
      [scalarOf(7)],
      `${where}: upstream hears of it while the peer is away`,
    )
    me.restart()
    t.equal(me.state.notes.size, 1, 'durable')
    world.tick(500) // upstream would be dead by now; here it stands, won
    world.heal()
    world.tick(1)
    world.settle()
    t.equal(me.toldOf('lockClaimed').length, 1, 'told once')
    t.equal(me.state.notes.size, 0, side === 0 ? 'taken in, claimed and out' : 'void: nothing is left of it')
    t.equal(me.toldOf('lockSettled').length, side === 0 ? 1 : 0)
    t.equal(me.state.phase, 'open')
  }
})

t.test('C5: a peer that stalls is waited for with a clock, and resumes where it was', async (t) => {
  const world = live()
  world.input(0, { type: 'offer', operations: [pay(5n)] })
  world.tick(40)
  t.match(world.alice.state.waiting, { on: 'ack of 1', since: 1_010 })
  world.settle()
  t.equal(world.alice.state.waiting, null)
  t.equal(contentTotal(world.bob.state.current.content), 1_500_000n)
})

t.test('C6: a scalar that is learnt while the peer is away survives a crash', async (t) => {
  const world = live()
  world.input(0, { type: 'offer', operations: [lock(50n, 1, world.ledger.time + 100)] })
  world.settle()
  world.cut()
  world.input(1, { type: 'fulfill', lock: { from: 0, id: 0 }, scalar: scalarOf(1) })
  world.bob.restart()
  world.heal()
  t.equal(world.alice.toldOf('lockSettled').length, 1)
})

t.test('C4: the leading payee commits no claim after expiry minus margin unless its reveal is final', async (t) => {
  const world = live()
  world.input(1, { type: 'offer', operations: [lock(50n, 1, world.ledger.time + 100)] })
  world.settle()
  world.input(1, { type: 'offer', operations: [pay(1n)] })
  while (world.deliver(1)); // alice's commit is in flight: the claim has to wait
  world.input(0, { type: 'fulfill', lock: { from: 1, id: 0 }, scalar: scalarOf(1) })
  world.ledger.height += 1
  world.ledger.time += 95
  world.input(0, { type: 'tick' })
  t.equal(world.ledger.revealed.size, 1)
  world.ledger.revealed.clear() // the ledger has not taken it yet, and bob has not seen it
  world.settle()
  t.equal(world.alice.state.current.content.locks.length, 1)
  t.notOk(world.alice.sent.some((message) => message.name === 'commit' && message.body.version > 2))
  world.ledger.revealed.set(Buffer.from(curve.multiplyBase(scalarOf(1))).toString('hex'), {
    scalar: scalarOf(1),
    time: world.ledger.time,
  })
  world.tick(1)
  world.settle()
  t.equal(world.bob.toldOf('lockSettled').length, 1)
})

t.test(
  'C1, C2: two contents of one version share neither nonce nor blinding; the same content gives the same bytes',
  async (t) => {
    const { context, state } = live().bob
    const { content, state: signed } = state.current
    const keys = [0, 1].map((side) => ({ hash: signed.revocations[side]!, randomizer: signed.ciphertexts[side]! }))
    const [own, peers] = [keys[0]!, keys[1]!]
    const of = (moved: bigint) => {
      const balances = [content.balances[0] - moved, content.balances[1] + moved] as [Amount, Amount]
      const built = build(context, { ...content, version: 7, balances }, [own, peers])
      const { balanceBlinding, poolBlinding } = must(openSealed(context.secret, built.state))
      return { encoded: built.encoded, nonce: built.state.nonce, balanceBlinding, poolBlinding }
    }
    const [one, same, other] = [of(1n), of(1n), of(2n)]
    t.same(one, same)
    t.not(one.balanceBlinding, other.balanceBlinding)
    t.notOk(equalBytes(one.nonce, other.nonce))
    t.equal(one.poolBlinding, other.poolBlinding)
  },
)
