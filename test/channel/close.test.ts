/** Cooperative close (L6, C10) and the exit decision. Proofs are the wallet's: here only their place in the order. */
import t from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { type Digest, equalBytes } from '../../src/base/bytes.js'
import type { Side } from '../../src/base/channel-state.js'
import { curve, modQ } from '../../src/base/curve/index.js'
import type { ChannelMessageOf } from '../../src/base/message/channel.js'
import { encodeTransaction, transactionDigest } from '../../src/base/transaction.js'
import { postable } from '../../src/chain-adapter/contract/channel-rules.js'
import { exitTerms } from '../../src/channel/content.js'
import type { CloseProof, CloseTerms, OfferBody } from '../../src/channel/types.js'
import { commit } from '../../src/privacy/commitment.js'
import { openPair, runOpening, World } from './world.js'

const opened = openPair()
const pay = (amount: bigint): OfferBody => ({ kind: 'pay', amount: amount as Amount, reference: new Uint8Array() })

function live(): World {
  const world = new World(opened)
  world.connect()
  world.settle()
  return world
}

const proofFor = (terms: CloseTerms): CloseProof => ({
  validUntil: terms.validUntil,
  commitment: terms.commitment,
  ciphertexts: [new Uint8Array(256).fill(1), new Uint8Array(256).fill(2)],
  ciphertextsRegulator: [new Uint8Array(256).fill(3), new Uint8Array(256).fill(4)],
  proof: new Uint8Array(64),
})

function signedOffer({ alice }: World, offer: ChannelMessageOf<'closeOffer'>): ChannelMessageOf<'closeOffer'> {
  const { signature: _other, ...fields } = offer
  const { ledger, channel } = alice.context.terms
  const named = { ledger: ledger as Uint8Array as Digest, channel: channel as Uint8Array as Digest }
  const digest = transactionDigest({ kind: 'closeChannel', ...fields, ...named })
  return { ...offer, signature: curve.sign(digest, alice.context.keys.signing) }
}

/** The wallets: alice proves, bob verifies. */
function wallets(world: World, valid = true): void {
  for (let at = world.alice.told.length - 1; at >= 0; at--) {
    const asked = world.alice.told[at]!
    if (asked.type === 'proveClose') {
      world.input(0, { type: 'closeProved', proof: proofFor(asked.terms) })
      break
    }
  }
  world.settle()
  const asked = world.bob.toldOf('verifyClose').at(-1)
  if (asked !== undefined) world.input(1, { type: 'closeVerified', validUntil: asked.terms.validUntil, valid })
  world.settle()
}

t.test('either side asks; what is queued is drained; both submit the same transaction, signed by both', async (t) => {
  for (const asker of [0, 1] as const) {
    const world = live()
    const expiry = world.ledger.time + 100
    const point = curve.multiplyBase(world.alice.context.keys.signing)
    const lock: OfferBody = { kind: 'lock', amount: 70n as Amount, point, expiry, payload: new Uint8Array() }
    world.input(0, { type: 'offer', operations: [pay(1_000n), lock] })
    world.settle()
    world.input(1, { type: 'offer', operations: [pay(5n)] })
    world.input(asker, { type: 'closeWanted' })
    world.settle()
    t.equal(world.alice.toldOf('proveClose').length, 0, 'not while a lock is open')
    const late = world.input(0, { type: 'offer', operations: [pay(1n)] })
    t.match(late, [{ type: 'proposed', results: [{ error: { code: 'channel_not_open' } }] }])
    world.input(1, { type: 'giveBack', lock: { from: 0, id: 1 }, reason: new Uint8Array() })
    world.settle()
    const { terms } = world.alice.toldOf('proveClose')[0]!
    t.same(terms.balances, [999_005n, 500_995n])
    t.ok(equalBytes(commit(terms.balances[0], terms.blindings[0])!, terms.commitment), 'C_A opens')
    const total = modQ(terms.blindings[0] + terms.blindings[1])
    t.equal(total, modQ(opened.terms.blindings[0] + opened.terms.blindings[1]), 'C_B = C_pool - C_A')
    wallets(world)
    const [a, b] = world.parties.map((party) => party.toldOf('submit')[0]!.transaction)
    if (a?.kind !== 'closeChannel' || b?.kind !== 'closeChannel') return t.fail('no close')
    t.ok(equalBytes(encodeTransaction(a), encodeTransaction(b)))
    for (const side of [0, 1] as const) {
      t.ok(curve.verify(transactionDigest(a), a.signatures[side], opened.terms.channelKeys[side]))
    }
    for (const side of [0, 1] as const) world.input(side, { type: 'paidOut', by: 'closeChannel', at: world.ledger })
    t.same(
      world.parties.map((party) => party.state.phase),
      ['closed', 'closed'],
    )
  }
})

t.test('C10: signed is terminal: whatever arrives, no round follows, across restarts', async (t) => {
  const world = live()
  world.input(1, { type: 'closeWanted' })
  world.settle()
  world.input(0, { type: 'closeProved', proof: proofFor(world.alice.toldOf('proveClose')[0]!.terms) })
  t.equal(world.alice.state.phase, 'closing')
  world.cut() // the offer is lost
  world.alice.restart()
  world.bob.restart()
  world.alice.sent.length = 0
  world.connect()
  t.same(
    world.alice.sent.map(({ name }) => name),
    ['newest', 'shutdown', 'closeOffer'],
  )
  world.settle()
  const asked = world.bob.toldOf('verifyClose')[0]!
  world.bob.crash = 'after the batch' // the acceptance is lost with bob
  world.input(1, { type: 'closeVerified', validUntil: asked.terms.validUntil, valid: true })
  t.equal(world.bob.toldOf('submit').length, 1, 'but the outbox has the transaction')
  t.equal(world.bob.disk.phase, 'closing', 'and the decision is durable')
  world.heal()
  t.equal(world.alice.toldOf('submit').length, 1)
  for (const side of [0, 1] as const) {
    t.match(world.input(side, { type: 'offer', operations: [pay(1n)] }), [
      { results: [{ error: { code: 'channel_not_open' } }] },
    ])
  }
})

t.test(
  'C10: a shutdown that the peer does not answer is owed since it was said, whatever rounds it still makes',
  async (t) => {
    for (const asker of [0, 1] as const) {
      const world = live()
      const other = asker === 0 ? 1 : 0
      const waiting = () => world.parties[asker].state.waiting
      const { time } = world.ledger
      world.input(asker, { type: 'closeWanted' })
      t.match(waiting(), { on: 'shutdown', since: time })
      world.parties[asker].outgoing.pop() // the peer acts as if it had not heard it
      world.tick(10)
      world.input(other, { type: 'offer', operations: [pay(3n)] })
      world.settle()
      t.match(waiting(), { on: 'shutdown', since: time }, 'pays are no answer')
      t.equal(world.parties[asker].state.current.content.version, 1)
      world.heal()
      t.not(waiting()?.on, 'shutdown', 'said again on the next connection, and answered')
      t.equal(world.alice.toldOf('proveClose').length, 1)
    }
  },
)

t.test('C8, C10: a shutdown wanted while a commit is made up for leaves after it', async (t) => {
  const world = live()
  world.input(0, { type: 'offer', operations: [pay(9n)] })
  world.deliver(0) // the proposal; the commit is lost
  world.cut()
  world.connect()
  world.deliver(0)
  t.equal(world.bob.state.link, 'recommit')
  world.input(1, { type: 'closeWanted' })
  world.settle()
  t.same(world.alice.state.shutdown, { sent: true, received: true })
  t.equal(world.alice.toldOf('proveClose').length, 1)
})

t.test('an offer that lapsed is proved anew with the same balances', async (t) => {
  const world = live()
  world.input(0, { type: 'closeWanted' })
  world.settle()
  world.input(0, { type: 'closeProved', proof: proofFor(world.alice.toldOf('proveClose')[0]!.terms) })
  world.cut()
  world.tick(101)
  world.connect()
  world.settle()
  t.equal(world.alice.toldOf('proveClose').length, 2)
  wallets(world)
  t.equal(world.alice.toldOf('submit').length, 1)
  t.equal(world.bob.toldOf('submit').length, 1)
})

t.test('L6: a false offer is a breach and is not signed', async (t) => {
  const world = live()
  world.input(0, { type: 'closeWanted' })
  world.settle()
  wallets(world, false)
  t.equal(world.bob.state.breach, 'L6')
  t.equal(world.bob.toldOf('submit').length, 0)
  const cases: readonly [string, (world: World) => object][] = [
    ['other balances', () => ({ commitment: curve.multiplyBase(world.alice.context.keys.signing) })],
    ['valid for too long', (w) => ({ validUntil: w.ledger.time + 201 })],
    ['another signature', () => ({ signature: new Uint8Array(64) })],
    ['another proof than the signed one', () => ({ proof: new Uint8Array(65) })],
  ]
  for (const [name, patch] of cases) {
    const again = live()
    again.input(0, { type: 'closeWanted' })
    again.settle()
    again.input(0, { type: 'closeProved', proof: proofFor(again.alice.toldOf('proveClose')[0]!.terms) })
    const offer = again.alice.sent.find((message) => message.name === 'closeOffer')
    if (offer?.name !== 'closeOffer') return t.fail('no offer')
    const changed = { ...offer.body, ...patch(again) }
    // As the leader itself would lie: signed anew, but where a wrong signature is the lie.
    const body = name.startsWith('another') ? changed : signedOffer(again, changed)
    again.input(1, { type: 'received', message: { ...offer, body } })
    t.equal(again.bob.state.breach, 'L6', name)
    t.equal(again.bob.toldOf('submit').length + again.bob.toldOf('verifyClose').length, 0, name)
  }
  const early = live()
  const offer = {
    channel: opened.terms.channel,
    signature: new Uint8Array(64) as never,
    ...proofFor({
      validUntil: early.ledger.time + 10,
      version: 0,
      commitment: early.alice.state.current.state.commitment,
      balances: [0n as Amount, 0n as Amount],
      blindings: [0n, 0n],
    }),
  }
  early.input(1, { type: 'received', message: { name: 'closeOffer', body: offer } })
  t.equal(early.bob.state.breach, 'C10', 'before anybody asked to close')
})

t.test('C10: an exit carries the newest state of both, is decided once, and ends everything', async (t) => {
  for (const side of [0, 1] as const) {
    const world = live()
    world.input(0, { type: 'offer', operations: [pay(9n)] })
    world.settle()
    world.input(0, { type: 'offer', operations: [pay(9n)] }) // alice has a commit outstanding
    world.input(side, { type: 'exitWanted' })
    const [submitted] = world.parties[side].toldOf('submit')
    if (submitted?.transaction.kind !== 'exit') return t.fail('no exit')
    const { state, stateSignatures, poster } = submitted.transaction
    t.equal(poster, side)
    const accepted = postable(exitTerms(world.alice.context), state, stateSignatures)
    t.equal(accepted.ok && accepted.value.version, 1, 'the contract takes it')
    world.parties[side].restart()
    world.heal()
    t.equal(world.input(side, { type: 'exitWanted' }).length, 0)
    t.equal(world.parties[side].state.current.content.version, 1)
    t.equal(world.parties[side].state.phase, 'exiting')
  }
})

t.test('L5: deposits of both, or of the opener alone', async (t) => {
  for (const share of [500_000n, 0n]) {
    const { effects } = runOpening({ share })
    const submit = effects[0].find((effect) => effect.type === 'submitOpening')
    if (submit?.type !== 'submitOpening') return t.fail('not submitted')
    t.equal(submit.transaction.halves[1] === null, share === 0n)
    t.same(
      effects[1].map(({ type }) => type).filter((type) => type === 'submitOpening'),
      [],
      'the opener submits',
    )
    const last = effects[1].findIndex(
      (effect) => effect.type === 'sendOpening' && effect.message.name === 'channelSigned',
    )
    t.ok(effects[1].findIndex(({ type }) => type === 'opened') < last, 'C6: durable before the signature leaves')
  }
})

t.test('L5: a false word at any step ends the attempt without a signature of the account', async (t) => {
  const flip = <T extends Uint8Array>(bytes: T): T => {
    const copy = Uint8Array.from(bytes)
    copy[9]! ^= 1
    return copy as T
  }
  type Tamper = NonNullable<NonNullable<Parameters<typeof runOpening>[0]>['tamper']>
  const on =
    (name: string, patch: (body: never) => object): Tamper =>
    (_from, message) =>
      message.name === name
        ? ({ ...message, body: { ...message.body, ...patch(message.body as never) } } as typeof message)
        : message
  type Keys = readonly [{ hash: Uint8Array; randomizer: Uint8Array }, { hash: Uint8Array; randomizer: Uint8Array }]
  const cases: readonly [string, Tamper][] = [
    [
      'deposit of zero',
      on('openChannel', ({ deposit }: never) => ({ deposit: { ...(deposit as object), amount: 0n } })),
    ],
    ['sum above 2^L', on('openChannel', () => ({ share: 2n ** 48n - 1n }))],
    ['window out of bounds', on('openChannel', () => ({ window: 1_001 }))],
    ['past its validity', on('openChannel', () => ({ validUntil: 999 }))],
    [
      'another share',
      on('acceptChannel', ({ deposit }: never) => ({ deposit: { ...(deposit as object), amount: 4n } })),
    ],
    ['no share', on('acceptChannel', () => ({ deposit: null }))],
    [
      'R of the peer out of range',
      on('acceptChannel', ({ keys }: { keys: Keys }) => ({
        keys: [keys[0], { ...keys[1], randomizer: new Uint8Array(256) }],
      })),
    ],
    [
      'one R twice',
      on('acceptChannel', ({ keys }: { keys: Keys }) => ({
        keys: [keys[0], { ...keys[1], randomizer: keys[0].randomizer }],
      })),
    ],
    [
      'signature of state 0',
      on('channelHalf', ({ signature }: { signature: Uint8Array }) => ({ signature: flip(signature) })),
    ],
    [
      'another deposit than was opened',
      on('channelHalf', ({ half }: { half: object }) => ({
        half: { ...half, commitment: curve.multiplyBase(new Uint8Array(32).fill(1) as never) },
      })),
    ],
    [
      'signature of state 0 by the peer',
      on('channelSigned', ({ signature }: { signature: Uint8Array }) => ({ signature: flip(signature) })),
    ],
    ['half left out', on('channelSigned', () => ({ half: null }))],
    [
      'signature of the account',
      on('channelSigned', ({ accountSignature }: { accountSignature: Uint8Array }) => ({
        accountSignature: flip(accountSignature),
      })),
    ],
  ]
  for (const [name, tamper] of cases) {
    const { effects } = runOpening({ tamper })
    t.notOk(
      effects[0].some(({ type }) => type === 'submitOpening'),
      name,
    )
    t.ok(
      effects.some((list) => list.some(({ type }) => type === 'openFailed')),
      `${name}: told`,
    )
  }
  for (const victim of [0, 1] as readonly Side[]) {
    const { effects } = runOpening({ verdict: (side) => side !== victim })
    t.notOk(
      effects[0].some(({ type }) => type === 'submitOpening'),
      'a half whose proof fails',
    )
  }
})
