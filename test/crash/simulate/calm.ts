/** The end of a run: faults stop, and whatever was begun must end; then all channels close and the money is counted. */
import { type ChannelId, idText } from '../../../src/base/ids.js'
import type { Phase } from '../../../src/channel/types.js'
import { NAMES, type Name } from './base.js'
import type { World } from './world.js'

/** Longer than any lock and any dispute, in ledger seconds. */
const PATIENCE_S = 12_000
const SLICE_S = 60

/** Until nothing moves, neither here nor on the ledger. */
async function rest(world: World): Promise<void> {
  for (;;) {
    await world.exchange()
    if (world.ledger.waiting === 0 && world.schedule.ready === 0) return
    world.ledger.propose()
  }
}

function moving(world: World): string | undefined {
  const pending = world.payments.owed
  if (pending > 0) return `${pending} payments pend`
  for (const host of world.list) {
    if (world.oracle.lapses.dishonest.has(host.name as Name)) continue
    for (const { id, state, text } of host.channels()) {
      const { phase, current, link } = state
      if (phase === 'closed' || phase === 'funding' || isLockedForGood(world, id, phase)) continue
      if (current.content.locks.length > 0) return `${host.name} has locks in ${text} (${phase})`
      if (phase !== 'open') return `${host.name}: ${text} is ${phase}`
      if (link !== 'live') return `${host.name}: ${text} is ${link}`
    }
  }
  return undefined
}

function isLockedForGood({ oracle }: World, id: ChannelId, phase: Phase): boolean {
  const book = phase === 'recovery' ? oracle.books.of(id) : undefined
  return book !== undefined && oracle.isLockedForGood(book)
}

async function until(world: World, clause: string, still: () => string | undefined): Promise<void> {
  await rest(world)
  await world.check()
  for (let passed = 0; still() !== undefined; passed += SLICE_S) {
    if (passed > PATIENCE_S) world.oracle.break(clause, `stuck: ${still()}`)
    await world.check()
    await world.pass(SLICE_S)
    await rest(world)
    await world.check()
  }
}

/** @throws Violation */
export async function calm(world: World): Promise<void> {
  for (const host of world.list) {
    if (!host.up) host.life?.end()
  }
  world.heal()
  await until(world, 'R5', () => moving(world))
  await world.payments.agree()
  await world.check()
  for (const name of NAMES) {
    for (const id of world.channelIds(name)) world.hosts[name].node?.closeChannel(id).catch(() => undefined)
  }
  await until(world, 'C10', () => open(world))
  await totals(world)
  await world.check()
}

function open(world: World): string | undefined {
  for (const name of NAMES) {
    if (world.oracle.lapses.dishonest.has(name)) continue
    for (const { id, text, state } of world.hosts[name].channels()) {
      const { phase } = state
      if (phase === 'closed' || phase === 'funding' || isLockedForGood(world, id, phase)) continue
      return `${name}: ${text} is ${phase}`
    }
  }
  return undefined
}

/** R3, R5: every honest side has what its own books say, to the unit: nobody gains or loses but by a payment or a fee. */
async function totals(world: World): Promise<void> {
  const { oracle, payments } = world
  const { books, lapses, verdicts } = oracle
  for (const book of books.funded()) {
    const honest = book.owners.every((owner) => !lapses.dishonest.has(owner))
    if (honest && book.paid === undefined && !oracle.isLockedForGood(book))
      oracle.break('C10', `${idText(book.id)} was not paid out`)
  }
  for (const name of NAMES) {
    if (lapses.dishonest.has(name)) continue
    // What its books said is gone with its disk; what each channel owed it, court.ts has checked.
    if (verdicts.excused(lapses.restored.has(name), 'totals: books were put back')) continue
    const expected = books.deposited(name) + (await payments.gains(name))
    const has = books.wealth(name)
    if (has < expected || (has > expected && !payments.mayHaveMore(name))) {
      oracle.break('R3', `${name} has ${has}, its books say ${expected}`)
    }
  }
}
