/** A peer that breaks the clauses on purpose: the channel is broken with the clause; nothing is thrown or signed. */
import t, { type Test } from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { equalBytes, u64 } from '../../src/base/bytes.js'
import { otherSide, type Side } from '../../src/base/channel-state.js'
import { curve, type Scalar, type Signature } from '../../src/base/curve/index.js'
import { prfScalar } from '../../src/base/digest.js'
import type { ChannelMessage, ChannelMessageOf } from '../../src/base/message/channel.js'
import { build } from '../../src/channel/content.js'
import { packOperations, packRuns } from '../../src/channel/operation.js'
import { apply } from '../../src/channel/predicate.js'
import { revocationHash, revocationSecret } from '../../src/channel/revocation.js'
import type { Content, Effect, Operation, OperationBody } from '../../src/channel/types.js'
import { LIMITS_FOR_TESTS, openPair, randomizerFor, World } from './world.js'

const opened = openPair({ limits: { ...LIMITS_FOR_TESTS, amountMax: 900_000n as Amount } })
const scalarOf = (index: number): Scalar => prfScalar(new Uint8Array(32), 'test-scalar', u64(index))
const pay = (amount: bigint): Extract<OperationBody, { kind: 'pay' }> => ({
  kind: 'pay',
  amount: amount as Amount,
  reference: new Uint8Array(),
})
const lockBody = (amount: bigint, index: number, expiry: number): Extract<OperationBody, { kind: 'lock' }> => ({
  kind: 'lock',
  amount: amount as Amount,
  point: curve.multiplyBase(scalarOf(index)),
  expiry,
  payload: new Uint8Array(),
})

/** A live channel with some rounds behind it and a lock each way (ids below 10 are used). */
function live(): World {
  const world = new World(opened)
  world.connect()
  world.settle()
  const expiry = world.ledger.time + 500
  for (const side of [0, 1] as const) {
    world.input(side, { type: 'offer', operations: [pay(100n), lockBody(1_000n, side, expiry)] })
    world.settle()
  }
  return world
}

const SIGNING = new Set(['commit', 'ack', 'revoke', 'closeOffer', 'closeAccept'])
const signs = (effects: readonly Effect[]): boolean =>
  effects.some((effect) => (effect.type === 'send' ? SIGNING.has(effect.message.name) : effect.type === 'submit'))
const clauseOf = (effects: readonly Effect[]): string | undefined =>
  effects.flatMap((effect) => (effect.type === 'breached' ? [effect.clause] : []))[0]

const flip = <T extends Uint8Array>(bytes: T, at = 5): T => {
  const copy = Uint8Array.from(bytes)
  copy[at]! ^= 1
  return copy as T
}

/** Alice's next commit, with a pay in it, not yet delivered. */
function heldCommit(world: World): ChannelMessageOf<'commit'> {
  world.alice.sent.length = 0
  world.input(0, { type: 'offer', operations: [pay(5n)] })
  world.deliver(0)
  const commit = world.alice.sent.find((message) => message.name === 'commit')
  if (commit?.name !== 'commit') throw new Error('no commit')
  return commit.body
}

/** Bob's ack of it, not yet delivered. */
function heldAck(world: World): ChannelMessageOf<'ack'> {
  heldCommit(world)
  world.bob.sent.length = 0
  while (world.deliver(0));
  const ack = world.bob.sent.find((message) => message.name === 'ack')
  if (ack?.name !== 'ack') throw new Error('no ack')
  return ack.body
}

const hit = (world: World, victim: Side, message: ChannelMessage): readonly Effect[] =>
  world.input(victim, { type: 'received', message })

function expectBreach(
  t: Test,
  world: World,
  victim: Side,
  message: ChannelMessage,
  clause: string,
  name: string,
): void {
  const before = world.parties[victim].state.current.content.version
  const effects = hit(world, victim, message)
  t.equal(clauseOf(effects), clause, name)
  t.notOk(signs(effects), `${name}: nothing signed`)
  t.equal(world.parties[victim].state.phase, 'broken')
  t.equal(world.parties[victim].state.current.content.version, before)
  // and nothing ever again
  const after = [
    ...world.input(victim, { type: 'offer', operations: [pay(1n)] }),
    ...hit(world, victim, message),
    ...world.input(victim, { type: 'connected' }),
    ...world.input(victim, { type: 'tick' }),
  ]
  t.notOk(signs(after), `${name}: and nothing afterwards`)
}

t.test('commits of a false leader', async (t) => {
  type Forge = (commit: ChannelMessageOf<'commit'>, world: World) => Partial<ChannelMessageOf<'commit'>>
  const cases: readonly [string, string, Forge][] = [
    ['C11', 'a version too far', (c) => ({ version: c.version + 1 })],
    ['C11', 'an old version', (c) => ({ version: c.version - 2 })],
    ['C7', 'the last version again, with another content', (c) => ({ version: c.version - 1 })],
    ['C5', 'another digest', (c) => ({ digest: flip(c.digest) })],
    ['C1', 'another signature', (c) => ({ signature: flip(c.signature, 40) })],
    ['C1', 'a signature of zeros', () => ({ signature: new Uint8Array(64) as Signature })],
    ['C4', 'an unknown id', () => ({ operations: packRuns([{ id: 99, from: 0, body: pay(1n) }]) })],
    ['C4', 'no operation', () => ({ operations: new Uint8Array() })],
    ['C4', 'an id twice', (_, w) => ({ operations: twice(w) })],
    [
      'C4',
      'an operation of ours that we never proposed',
      () => ({ operations: packRuns([{ id: 50, from: 1, body: pay(1n) }]) }),
    ],
    ['C4', 'runs that are not whole', () => ({ operations: new Uint8Array(10) })],
    ['C5', 'a height that went down', (c) => ({ at: { height: c.at.height - 1, time: c.at.time } })],
    ['C5', 'a time that is not the height’s', (c) => ({ at: { height: c.at.height, time: c.at.time + 1 } })],
    ['C5', 'a time that went down', (c) => ({ at: { height: c.at.height, time: c.at.time - 1 } })],
    [
      'C3',
      'another secret of a revoked version',
      () => ({ revocation: { version: 0, secret: new Uint8Array(32), next: anyKeys() } }),
    ],
    [
      'C5',
      'a revocation that is not due',
      (c) => ({ revocation: { version: c.version - 1, secret: new Uint8Array(32), next: anyKeys() } }),
    ],
  ]
  for (const [clause, name, forge] of cases) {
    const world = live()
    const commit = heldCommit(world)
    expectBreach(t, world, 1, { name: 'commit', body: { ...commit, ...forge(commit, world) } }, clause, name)
  }
})

function twice(world: World): Uint8Array {
  const operation = world.bob.state.pending[0]!
  return packRuns([operation, { ...operation, id: 77, from: 1 }, operation])
}

function anyKeys() {
  return { hash: revocationHash(new Uint8Array(32)), randomizer: randomizerFor(0, opened.terms, 90) }
}

const left = (world: World): bigint => world.alice.state.current.content.balances[0]

/** Everything of a round of these operations, rightly folded, built and signed, but never judged. */
function forgedRound(world: World, bodies: readonly OperationBody[]): ChannelMessage[] {
  const { alice, bob } = world
  const { context, state } = alice
  const first = state.nextId[0]
  const operations = bodies.map((body, index): Operation => ({ id: first + index, from: 0, body }))
  const { height, time } = alice.env.view
  let content: Content = { ...state.current.content, version: state.current.content.version + 1, at: { height, time } }
  for (const operation of operations) content = apply(context, content, operation)
  const { version } = content
  const own = {
    hash: revocationHash(revocationSecret(context.keys.revocation, version)),
    randomizer: state.randomizers.get(version)!,
  }
  const built = build(context, content, [own, state.peerKeys!])
  const { channel } = context.terms
  if (bob.state.current.content.version + 1 !== version) throw new Error('not in step')
  return [
    { name: 'propose', body: { channel, operations: packOperations(operations) } },
    {
      name: 'commit',
      body: {
        channel,
        version,
        at: content.at,
        operations: packRuns(operations),
        digest: built.digest,
        signature: curve.sign(built.digest, context.keys.signing),
        revocation: null,
      },
    },
  ]
}

t.test('operations that the predicate refuses, in a commit that is right in every other way', async (t) => {
  const from0 = { from: 0 as Side, id: 1 }
  const from1 = { from: 1 as Side, id: 1 }
  const cases: readonly [string, (world: World) => OperationBody[]][] = [
    ['nothing is wrong', () => [pay(5n)]],
    ['a pay of zero', () => [pay(0n)]],
    ['a pay above the maximum', () => [pay(900_001n)]],
    ['pays into the reserve', (w) => [pay(900_000n), pay(left(w) - 900_009n)]],
    ['a lock above the maximum', () => [lockBody(900_001n, 9, 1_400)]],
    ['a lock that expires too soon', (w) => [lockBody(5n, 9, w.ledger.time + 19)]],
    ['a lock that expires too late', (w) => [lockBody(5n, 9, w.ledger.time + 10_001)]],
    ['a point that is in use', (w) => [lockBody(5n, 0, w.ledger.time + 100)]],
    ['a lock too many', (w) => Array.from({ length: 256 }, (_, i) => lockBody(5n, 100 + i, w.ledger.time + 100))],
    ['a claim with another scalar', () => [{ kind: 'claim', lock: from1, scalar: scalarOf(9) }]],
    ['a claim of an unknown lock', () => [{ kind: 'claim', lock: { from: 1, id: 77 }, scalar: scalarOf(1) }]],
    ['a claim twice', () => [1, 2].map(() => ({ kind: 'claim' as const, lock: from1, scalar: scalarOf(1) }))],
    [
      'a claim of a lock of the same round',
      (w) => [
        lockBody(5n, 9, w.ledger.time + 100),
        { kind: 'claim', lock: { from: 0, id: w.alice.state.nextId[0] }, scalar: scalarOf(9) },
      ],
    ],
    ['a release by the payer of a living lock', () => [{ kind: 'release', lock: from0, reason: new Uint8Array() }]],
    ['a release of an unknown lock', () => [{ kind: 'release', lock: { from: 1, id: 5 }, reason: new Uint8Array() }]],
  ]
  for (const [name, bodies] of cases) {
    const world = live()
    const [propose, commit] = forgedRound(world, bodies(world))
    t.equal(clauseOf(hit(world, 1, propose!)), undefined, `${name}: a proposal may be wrong`)
    if (name === 'nothing is wrong') t.ok(signs(hit(world, 1, commit!)), name)
    else expectBreach(t, world, 1, commit!, 'C5', name)
  }
})

t.test('C4: a claim of a dead lock is refused by its payer', async (t) => {
  const world = live()
  world.cut()
  world.tick(501)
  world.heal()
  world.tick(1)
  const locks = world.bob.state.current.content.locks.filter((lock) => lock.from === 1)
  if (locks.length === 0) return t.equal(world.bob.toldOf('lockReturned').length, 2, 'both went back')
  const [propose, commit] = forgedRound(world, [{ kind: 'claim', lock: { from: 1, id: 1 }, scalar: scalarOf(1) }])
  hit(world, 1, propose!)
  expectBreach(t, world, 1, commit!, 'C5', 'dead')
})

t.test('acks of a false follower', async (t) => {
  type Forge = (ack: ChannelMessageOf<'ack'>, world: World) => Partial<ChannelMessageOf<'ack'>>
  const next = (ack: ChannelMessageOf<'ack'>, randomizer: Uint8Array) => ({
    revocation: { ...ack.revocation, next: { ...ack.revocation.next, randomizer } },
  })
  const cases: readonly [string, string, Forge][] = [
    ['C5', 'another version', (a) => ({ version: a.version + 1 })],
    ['C5', 'the last version, with another signature', (a) => ({ version: a.version - 1 })],
    ['C1', 'another signature', (a) => ({ signature: flip(a.signature, 40) })],
    [
      'C1',
      'high s',
      (a) => ({
        signature: Uint8Array.from([
          ...a.signature.slice(0, 32),
          ...new Uint8Array(32).fill(0xfe),
        ]) as typeof a.signature,
      }),
    ],
    ['C3', 'another secret', (a) => ({ revocation: { ...a.revocation, secret: flip(a.revocation.secret) } })],
    [
      'C5',
      'the secret of another version',
      (a) => ({ revocation: { ...a.revocation, version: a.revocation.version - 1 } }),
    ],
    ['C2', 'the last R again', (a, w) => next(a, w.alice.state.peerRandomizer)],
    ['C2', 'R = 1', (a) => next(a, Uint8Array.from([...new Uint8Array(a.revocation.next.randomizer.length - 1), 1]))],
    ['C2', 'R above n²', (a) => next(a, new Uint8Array(a.revocation.next.randomizer.length).fill(255))],
    ['C2', 'R too short', (a) => next(a, a.revocation.next.randomizer.slice(1))],
  ]
  for (const [clause, name, forge] of cases) {
    const world = live()
    const ack = heldAck(world)
    expectBreach(t, world, 0, { name: 'ack', body: { ...ack, ...forge(ack, world) } }, clause, name)
  }
})

t.test('messages of the wrong role, unreadable or reused proposals, offers after shutdown', async (t) => {
  const channel = opened.terms.channel
  const commit = heldCommit(live())
  const ack = heldAck(live())
  const revocation = ack.revocation
  const operation: Operation = { id: 40, from: 0, body: pay(1n) }
  const other: Operation = { id: 40, from: 0, body: pay(2n) }
  const cases: readonly [Side, string, ChannelMessage[]][] = [
    [0, 'C5', [{ name: 'commit', body: commit }]],
    [1, 'C5', [{ name: 'ack', body: ack }]],
    [0, 'C5', [{ name: 'ack', body: { ...ack, version: 9 } }]],
    [0, 'C5', [{ name: 'revoke', body: { channel, revocation } }]],
    [0, 'C5', [{ name: 'drop', body: { channel, from: 0, id: 1, code: 'x' } }]],
    [1, 'C5', [{ name: 'revoke', body: { channel, revocation: { ...revocation, version: 9 } } }]],
    [1, 'C4', [{ name: 'propose', body: { channel, operations: Uint8Array.of(9, 9, 9) } }]],
    [1, 'C4', [operation, other].map((o) => ({ name: 'propose', body: { channel, operations: packOperations([o]) } }))],
    [
      1,
      'C10',
      [
        { name: 'shutdown', body: { channel } },
        { name: 'propose', body: { channel, operations: packOperations([operation]) } },
      ],
    ],
    [1, 'L6', [{ name: 'closeAccept', body: { channel, validUntil: 1, signature: ack.signature } }]],
    [0, 'L6', [{ name: 'closeAccept', body: { channel, validUntil: 1, signature: ack.signature } }]],
  ]
  for (const [victim, clause, messages] of cases) {
    const world = live()
    for (const message of messages.slice(0, -1)) t.equal(clauseOf(hit(world, victim, message)), undefined)
    expectBreach(t, world, victim, messages.at(-1)!, clause, `${messages.at(-1)!.name} at ${victim}`)
  }
})

t.test('C4: more proposals than a peer may queue', async (t) => {
  const world = live()
  world.bob.outgoing.length = 0
  let clause: string | undefined
  for (let batch = 0; batch < 8 && clause === undefined; batch++) {
    const operations = Array.from(
      { length: 1_000 },
      (_, i): Operation => ({ id: 100 + batch * 1_000 + i, from: 0, body: pay(1n) }),
    )
    clause = clauseOf(
      hit(world, 1, {
        name: 'propose',
        body: { channel: opened.terms.channel, operations: packOperations(operations) },
      }),
    )
  }
  t.equal(clause, 'C4')
  t.ok(world.bob.state.pending.length <= 4_096 + 1_024)
})

t.test('C7: the same version with two contents, both signed', async (t) => {
  const world = live()
  const [propose, commit] = forgedRound(world, [pay(5n)])
  const [, second] = forgedRound(world, [pay(6n)])
  hit(world, 1, propose!)
  t.ok(signs(hit(world, 1, commit!)))
  t.ok(signs(hit(world, 1, commit!)), 'the same again is acknowledged again')
  expectBreach(t, world, 1, second!, 'C7', 'another content')
})

t.test('C8: false words at reestablish', async (t) => {
  for (const victim of [0, 1] as const) {
    const peer = otherSide(victim)
    const world = live()
    const { version } = world.parties[victim].state.current.content
    const { revocation: seed } = world.parties[victim].context.keys
    world.cut()
    const word = (patch: Partial<ChannelMessageOf<'reestablish'>>): ChannelMessage => ({
      name: 'reestablish',
      body: {
        channel: opened.terms.channel,
        version,
        outstanding: false,
        received: version,
        secret: revocationSecret(seed, version - 1),
        ...patch,
      },
    })
    const again = (): void => {
      world.parties[victim].input({ type: 'disconnected' })
      world.parties[victim].input({ type: 'connected' })
    }
    again()
    const claims = hit(world, victim, word({ version: version + 3, received: version + 3, secret: new Uint8Array(32) }))
    t.notOk(signs(claims), 'an unproven claim of being ahead changes nothing')
    t.equal(world.parties[victim].state.phase, 'open')
    t.equal(world.parties[victim].state.link, 'reestablishing', 'and rounds do not run with it')
    again()
    t.notOk(signs(hit(world, victim, word({ received: 2 ** 50 }))))
    again()
    const behind = hit(
      world,
      victim,
      word({ version: version - 2, received: version - 2, secret: revocationSecret(seed, version - 3) }),
    )
    t.ok(
      behind.some((effect) => effect.type === 'send' && effect.message.name === 'newest'),
      'who is behind gets the proof',
    )
    again()
    t.equal(clauseOf(hit(world, victim, word({ secret: new Uint8Array(32) }))), 'C8', 'a secret that is not ours')
    t.ok(peer !== victim)
  }
})

t.test('C8: proof of our own loss of data freezes the channel: no round, no secret, no exit', async (t) => {
  for (const loser of [0, 1] as const) {
    const world = live()
    const old = world.parties[loser].disk
    for (let round = 0; round < 3; round++) {
      world.input(0, { type: 'offer', operations: [pay(1n)] })
      world.settle()
    }
    world.cut()
    world.parties[loser].disk = old
    world.parties[loser].restart()
    world.connect()
    world.settle()
    t.equal(world.parties[loser].state.phase, 'recovery')
    t.equal(world.parties[loser].toldOf('dataLost').length > 0, true)
    t.equal(world.parties[otherSide(loser)].state.phase, 'open', 'the other side is not lured into anything')
    const effects = [
      ...world.input(loser, { type: 'exitWanted' }),
      ...world.input(loser, { type: 'offer', operations: [pay(1n)] }),
      ...world.input(loser, { type: 'closeWanted' }),
      ...world.input(loser, { type: 'connected' }),
    ]
    t.notOk(signs(effects))
    const { from, id } = world.parties[loser].state.current.content.locks.find((lock) => lock.from !== loser)!
    world.input(loser, { type: 'fulfill', lock: { from, id }, scalar: scalarOf(from) })
    world.tick(492)
    t.equal(world.ledger.revealed.size, 1, 'reveal stays allowed')
  }
})

t.test('C8: a leader that lost only its outstanding commit is stopped by its own signature', async (t) => {
  const world = live()
  const old = world.alice.disk
  heldCommit(world)
  while (world.deliver(0));
  world.cut()
  t.equal(world.bob.state.current.content.version, old.current.content.version + 1)
  world.alice.disk = old
  world.alice.restart()
  world.connect()
  world.settle()
  t.equal(world.alice.state.phase, 'recovery')
  t.ok(equalBytes(world.alice.toldOf('dataLost')[0]!.newest!.state, world.bob.state.current.encoded))
})
