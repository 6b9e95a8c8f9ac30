/** A peer that breaks the clauses on purpose: the channel is broken with the clause; nothing is thrown or signed. */
import t from 'tap'
import type { Side } from '../../src/base/channel-state.js'
import { curve, type Signature } from '../../src/base/curve/index.js'
import type { ChannelMessage, ChannelMessageOf } from '../../src/base/message/channel.js'
import { build } from '../../src/channel/content.js'
import { packOperations, packRuns } from '../../src/channel/operation.js'
import { apply } from '../../src/channel/predicate.js'
import { revocationHash, revocationSecret } from '../../src/channel/revocation.js'
import type { Content, Operation, OperationBody } from '../../src/channel/types.js'
import {
  clauseOf,
  expectBreach,
  flip,
  heldAck,
  heldCommit,
  hit,
  live,
  lockBody,
  opened,
  pay,
  scalarOf,
  signs,
} from './mallory.js'
import { randomizerFor, type World } from './world.js'

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
  return packRuns([operation, operation])
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
  for (const [seconds, dead] of [
    [500, false],
    [501, true],
  ] as const) {
    const world = live()
    world.tick(seconds) // bob wants it back as well, and waits for alice
    const [propose, commit] = forgedRound(world, [{ kind: 'claim', lock: { from: 1, id: 1 }, scalar: scalarOf(1) }])
    hit(world, 1, propose!)
    if (dead) expectBreach(t, world, 1, commit!, 'C5', 'dead')
    else t.ok(signs(hit(world, 1, commit!)), 'in its last second it is taken')
  }
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

t.test('C5: no ack of k+2 without the secret of k', async (t) => {
  const world = live()
  heldCommit(world)
  world.input(0, { type: 'offer', operations: [pay(6n)] })
  while (world.deliver(0));
  world.alice.sent.length = 0
  while (world.deliver(1));
  const commit = world.alice.sent.find((message) => message.name === 'commit')
  if (commit?.name !== 'commit' || commit.body.revocation === null) return t.fail('the secret rides on the commit')
  const without = { ...commit.body, revocation: null }
  expectBreach(t, world, 1, { name: 'commit', body: without }, 'C5', 'without the secret')
})
