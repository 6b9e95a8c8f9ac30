/** What mallory needs: a channel with some life behind it, and honest messages held back to be changed. */
import type { Test } from 'tap'
import type { Amount } from '../../src/base/amount.js'
import { u64 } from '../../src/base/bytes.js'
import type { Side } from '../../src/base/channel-state.js'
import { curve, type Scalar } from '../../src/base/curve/index.js'
import { prfScalar } from '../../src/base/digest.js'
import type { ChannelMessage, ChannelMessageOf } from '../../src/base/message/channel.js'
import type { Effect, OperationBody } from '../../src/channel/types.js'
import { LIMITS_FOR_TESTS, openPair, World } from './world.js'

export const opened = openPair({ limits: { ...LIMITS_FOR_TESTS, amountMax: 900_000n as Amount } })
export const scalarOf = (index: number): Scalar => prfScalar(new Uint8Array(32), 'test-scalar', u64(index))
export const pay = (amount: bigint): Extract<OperationBody, { kind: 'pay' }> => ({
  kind: 'pay',
  amount: amount as Amount,
  reference: new Uint8Array(),
})
export const lockBody = (amount: bigint, index: number, expiry: number): Extract<OperationBody, { kind: 'lock' }> => ({
  kind: 'lock',
  amount: amount as Amount,
  point: curve.multiplyBase(scalarOf(index)),
  expiry,
  payload: new Uint8Array(),
})

/** A live channel with some rounds behind it and a lock each way (ids below 10 are used). */
export function live(): World {
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

export const SIGNING = new Set(['commit', 'ack', 'revoke', 'closeOffer', 'closeAccept'])
export const signs = (effects: readonly Effect[]): boolean =>
  effects.some((effect) => (effect.type === 'send' ? SIGNING.has(effect.message.name) : effect.type === 'submit'))
export const clauseOf = (effects: readonly Effect[]): string | undefined =>
  effects.flatMap((effect) => (effect.type === 'breached' ? [effect.clause] : []))[0]

export const flip = <T extends Uint8Array>(bytes: T, at = 5): T => {
  const copy = Uint8Array.from(bytes)
  copy[at]! ^= 1
  return copy as T
}

/** Alice's next commit, with a pay in it, not yet delivered. */
export function heldCommit(world: World): ChannelMessageOf<'commit'> {
  world.alice.sent.length = 0
  world.input(0, { type: 'offer', operations: [pay(5n)] })
  world.deliver(0)
  const commit = world.alice.sent.find((message) => message.name === 'commit')
  if (commit?.name !== 'commit') throw new Error('no commit')
  return commit.body
}

/** Bob's ack of it, not yet delivered. */
export function heldAck(world: World): ChannelMessageOf<'ack'> {
  heldCommit(world)
  world.bob.sent.length = 0
  while (world.deliver(0));
  const ack = world.bob.sent.find((message) => message.name === 'ack')
  if (ack?.name !== 'ack') throw new Error('no ack')
  return ack.body
}

export const hit = (world: World, victim: Side, message: ChannelMessage): readonly Effect[] =>
  world.input(victim, { type: 'received', message })

export function expectBreach(
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
