/**
 * Well-formed but wrong messages of an authenticated peer, thousands of them: no exception, no signature under anything
 * but what the honest peer holds, bounded memory, and another channel pays on meanwhile.
 */
import t from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { equalBytes, u64 } from '../../src/base/bytes.js'
import { otherSide, type Side } from '../../src/base/channel-state.js'
import { curve, type Scalar } from '../../src/base/curve/index.js'
import { prfScalar, sha256 } from '../../src/base/digest.js'
import { type ChannelMessage, channelCodec } from '../../src/base/message/channel.js'
import { step } from '../../src/channel/step.js'
import type { OfferBody } from '../../src/channel/types.js'
import { openPair, type Party, World } from './world.js'

const opened = openPair()
const scalarOf = (index: number): Scalar => prfScalar(new Uint8Array(32), 'test-scalar', u64(index))
const pay = (amount: bigint): OfferBody => ({ kind: 'pay', amount: amount as Amount, reference: new Uint8Array(8) })

/** Deterministic: the failing mutant of a run can be run again. */
class Dice {
  private count = 0

  below(bound: number): number {
    this.count += 1
    return new DataView(sha256(u64(this.count)).buffer).getUint32(0) % bound
  }
}

type Json = unknown

/** Changes one leaf somewhere: a number, a byte, a length, a boolean, a null. */
function mutate(value: Json, dice: Dice): Json {
  if (value instanceof Uint8Array) return mutateBytes(value, dice)
  if (typeof value === 'number') return [value + 1, Math.max(0, value - 1), 0, 2 ** 40, dice.below(5)][dice.below(5)]
  if (typeof value === 'boolean') return !value
  if (typeof value === 'string') return `${value}x`
  if (value === null) return null
  if (Array.isArray(value)) {
    const at = dice.below(value.length)
    return value.map((item, index) => (index === at ? mutate(item, dice) : item))
  }
  const entries = Object.entries(value as object)
  const at = dice.below(entries.length)
  return Object.fromEntries(entries.map(([key, item], index) => [key, index === at ? mutate(item, dice) : item]))
}

function mutateBytes(bytes: Uint8Array, dice: Dice): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const kind = dice.below(6)
  if (kind === 0) return copy.slice(0, dice.below(bytes.length + 1))
  if (kind === 1) return Uint8Array.from([...copy, ...copy.slice(0, 20)])
  if (kind === 2) return copy.fill(dice.below(2) * 255)
  if (copy.length > 0) copy[dice.below(copy.length)]! ^= 1 << dice.below(8)
  return copy
}

/** The mutant as it would arrive: undefined where it does not even fit the schema (the wire's business). */
function mutant(message: ChannelMessage, dice: Dice, earlier: readonly ChannelMessage[]): ChannelMessage | undefined {
  const old = earlier[dice.below(earlier.length)]
  if (dice.below(8) === 0) return old
  try {
    const bytes = channelCodec.encode({ ...message, body: mutate(message.body, dice) } as ChannelMessage)
    const decoded = channelCodec.decode(bytes)
    if (!decoded.ok || decoded.value === 'ignored') return undefined
    return equalBytes(bytes, channelCodec.encode(message)) ? undefined : decoded.value
  } catch {
    return undefined // the schema cannot even say it
  }
}

const PER_MESSAGE = 150

/**
 * A session with pays, locks, a claim, a release, a reconnect and a shutdown. Each message of `from` meets the other side
 * as it stands in `PER_MESSAGE` mutations before it arrives itself: a step is pure, so every mutant starts afresh.
 */
function session(
  from: Side,
  dice: Dice,
  meanwhile: () => void,
): { mutants: number; broken: number; names: Set<string> } {
  const world = new World(opened)
  const { [from]: mallory, [otherSide(from)]: victim } = world.parties
  const earlier: ChannelMessage[] = []
  const count = { mutants: 0, broken: 0, names: new Set<string>() }
  const flow = (): void => {
    for (let moved = true; moved; ) {
      world.work()
      moved = world.deliver(otherSide(from))
      const bytes = mallory.outgoing[0]
      if (bytes === undefined) continue
      const message = channelCodec.decode(bytes)
      if (!message.ok || message.value === 'ignored') throw new Error('an honest message does not decode')
      earlier.push(message.value)
      for (let i = 0; i < PER_MESSAGE; i++) {
        const wrong = mutant(message.value, dice, earlier)
        if (wrong === undefined) continue
        count.mutants += 1
        count.names.add(message.value.name)
        if (strike(victim, mallory, wrong, message.value)) count.broken += 1
      }
      meanwhile()
      moved = world.deliver(from) || moved
    }
  }
  const expiry = world.ledger.time + 200
  const lock = (index: number): OfferBody => ({
    kind: 'lock',
    amount: 500n as Amount,
    point: curve.multiplyBase(scalarOf(index)),
    expiry,
    payload: new Uint8Array(50),
  })
  world.connect()
  const script = [
    () => world.input(0, { type: 'offer', operations: [pay(10n), lock(0), pay(11n)] }),
    () => world.input(1, { type: 'offer', operations: [lock(1), pay(12n)] }),
    () => world.input(1, { type: 'fulfill', lock: { from: 0, id: 1 }, scalar: scalarOf(0) }),
    () => world.input(0, { type: 'giveBack', lock: { from: 1, id: 0 }, reason: new Uint8Array(30) }),
    () => {
      world.input(0, { type: 'offer', operations: [pay(13n)] })
      world.cut()
      world.connect()
    },
    () => world.input(1, { type: 'closeWanted' }),
  ]
  for (const action of script) {
    flow()
    action()
  }
  flow()
  if (victim.state.phase !== 'open') throw new Error('the session itself went wrong')
  return count
}

/** The mutant, then the message itself: whatever the victim signs is what mallory's honest half holds. True when broken. */
function strike(victim: Party, mallory: Party, wrong: ChannelMessage, right: ChannelMessage): boolean {
  let { state } = victim
  const sizeBefore = state.pending.length
  for (const message of [wrong, right]) {
    const before = state
    const { state: after, effects } = step(before, { type: 'received', message }, victim.env)
    state = after
    if (before.phase === 'broken' && effects.length > 0) throw new Error('a broken channel speaks')
    if (after.current.digest === before.current.digest) continue
    const held = [mallory.state.current, mallory.state.outstanding]
    if (!held.some((built) => built !== null && equalBytes(built.digest, after.current.digest))) {
      throw new Error(`signed another state after a wrong ${wrong.name}`)
    }
  }
  if (state.pending.length > sizeBefore + 20) throw new Error('memory')
  return state.phase === 'broken'
}

t.test('2,000 mutants and more', async (t) => {
  const dice = new Dice()
  const honest = new World(opened)
  honest.connect()
  honest.settle()
  let paid = 0n
  const meanwhile = (): void => {
    honest.input(0, { type: 'offer', operations: [pay(1n)] })
    honest.settle()
    paid += 1n
  }
  for (const from of [0, 1] as const) {
    const { mutants, broken, names } = session(from, dice, meanwhile)
    t.ok(mutants >= 1_000, `${mutants} mutants, ${broken} broke the channel, of ${[...names].join()}`)
    t.ok(broken > mutants / 10, 'and many are caught')
  }
  t.equal(honest.bob.state.current.content.balances[1], 500_000n + paid, 'the other channel paid on')
})
