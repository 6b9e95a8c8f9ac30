/** What the instructions of a program do to a world. Each answers with the name under which it is counted. */
import type { Amount } from '../../../src/base/amount.js'
import { equalBytes } from '../../../src/base/bytes.js'
import { curve, type Signature } from '../../../src/base/curve/index.js'
import type { ChannelId, LedgerId } from '../../../src/base/ids.js'
import type { Batch } from '../../../src/base/ports/store.js'
import type { Result } from '../../../src/base/result.js'
import { type TransactionOf, transactionDigest } from '../../../src/base/transaction.js'
import { channelKeys } from '../../../src/channel/keys.js'
import { capacityOf } from '../../../src/node/capacity.js'
import { restoredRows } from '../../../src/node/kept-peers.js'
import type { BackupPeer } from '../../../src/store/backup.js'
import { NAMES, type Name, SLICE_S, TOWERS, WINDOW_S } from './base.js'
import { isCovered, tendsTowers } from './cover.js'
import { type Fault, type Image, keyText } from './disk.js'
import { durableChannel, durableTerms } from './durable.js'
import type { Host } from './host.js'
import type { Machine } from './machine.js'
import { pairOf } from './network.js'
import type { ActionName, Instruction } from './program.js'
import type { World } from './world.js'

type Action = (world: World, instruction: Instruction) => Promise<string> | string

const ROUTES: readonly (readonly [Name, Name])[] = [
  ['payer', 'hospital'],
  ['hospital', 'payer'],
  ['payer', 'mallory'],
  ['mallory', 'hospital'],
  ['hospital', 'mallory'],
  ['payer', 'hub'],
]
const FAULTS: readonly Fault[] = ['full', 'refused', 'unsynced']
const PENDING_MAX = 6
const ABSENT: readonly Name[] = ['hub', 'hub', 'hospital', 'payer']

function pay(world: World, instruction: Instruction): string {
  if (world.payments.pending >= PENDING_MAX) return 'wait'
  const { a, b } = instruction
  const amount = BigInt(1 + b * 40)
  // Mostly where it can succeed; a refusal on the way is a case too.
  const anywhere = b % 16 === 0
  const routes = anywhere ? ROUTES : ROUTES.filter(([from, to]) => isAble(world, from, to, amount))
  if (routes.length === 0) return open(world, instruction)
  const [from, to] = routes[a % routes.length]!
  world.payments.start(from, to, amount)
  return anywhere ? 'pay.anywhere' : 'pay'
}

/** Every channel on the way runs rounds and has the money. */
function isAble({ hosts }: World, from: Name, to: Name, amount: bigint): boolean {
  const withFee = amount + amount / 500n + 20n
  const carries = (name: Name, peer: Name, least: bigint): boolean =>
    hosts[name].channels().some((channel) => {
      const { ready, canSend } = capacityOf(channel)
      return ready && canSend >= least && equalBytes(channel.peer, hosts[peer].account)
    })
  const passes = (first: Name, last: Name): boolean => carries(first, last, amount) && carries(last, first, 0n)
  if (!carries(from, 'hub', withFee)) return carries(from, 'hospital', withFee) && to === 'hospital'
  return to === 'hub' || passes('hub', to) || (passes('hub', 'hospital') && passes('hospital', to))
}

/** Nothing on its way: a payment begins, so that something is. */
async function deliver(world: World, instruction: Instruction): Promise<string> {
  if (world.network.underWay === 0) await world.settle()
  const name = world.network.deliver()
  if (name === undefined)
    return instruction.action === 'pay' ? 'wait' : pay(world, { ...instruction, b: instruction.b >> 3 })
  world.trace.note(`arrives ${name}`)
  return name === 'end' ? 'end' : 'deliver'
}

/** C4: an unconditional payment. No call of a node makes one yet: it is offered to the channel itself. */
function payDirect(world: World, { a, b }: Instruction): string {
  const host = world.hosts[NAMES[a % NAMES.length]!]
  const channel = world.random.pick(host.channels().filter(({ state }) => state.phase === 'open'))
  if (channel === undefined) return 'wait'
  const reference = Uint8Array.of(a, b, ...world.random.bytes(6))
  host.offer(channel, { kind: 'pay', amount: BigInt(1 + b) as Amount, reference })
  return 'payDirect'
}

const crash = (world: World, { a, b }: Instruction): string => ends(world.list[a % NAMES.length]!, 'crash', b)

function ends(machine: Machine, name: string, b: number): string {
  if (!machine.up) return 'wait'
  const power = b % 2 === 0
  machine.powerFails = power
  // Now, or between any two of the things that it does to the outside next.
  if (b % 8 < 2) machine.life?.end()
  else machine.life?.light((b >> 3) % 24)
  return `${name}.${power ? 'power' : 'kill'}`
}

const pairAt = ({ pairs }: World, a: number): string => pairOf(...pairs[a % pairs.length]!)

function block(world: World, { a, b }: Instruction): string {
  const pair = pairAt(world, a)
  const { blocked } = world.network
  if (blocked.has(pair)) return 'wait'
  blocked.add(pair)
  world.network.cut(pair)
  world.later(2 + (b % 8 === 0 ? 60 : b % 10), () => blocked.delete(pair))
  return 'away'
}

function stall(world: World, { a, b }: Instruction): string {
  const pair = pairAt(world, a)
  const { stalled } = world.network
  if (stalled.has(pair)) return 'wait'
  stalled.add(pair)
  world.later(2 + (b % 8 === 0 ? 60 : b % 20), () => stalled.delete(pair))
  return 'hold'
}

/** Every node is up and hears every block. */
async function forward(world: World, { b }: Instruction): Promise<string> {
  await passes(world, 900 + 12 * b)
  return 'forward'
}

/** Whoever is away longer than its windows needs towers (T): so long only where they have all that they need for it. */
async function absent(world: World, { a, b }: Instruction): Promise<string> {
  const able = ABSENT.filter(
    (each) => world.hosts[each].node !== undefined && world.hosts[each].config.towers !== undefined,
  )
  const name = able[a % Math.max(able.length, 1)]
  if (name === undefined) return 'wait'
  const host = world.hosts[name]
  // In the middle of everything, where little is covered; or when all that can end has ended.
  if (b % 4 === 0) await world.settle()
  else await world.exchange()
  const covered = isCovered(world, name)
  host.life?.end()
  host.away = true
  if (covered && b % 4 !== 3) cheat(world, name === 'hub' ? 'mallory' : 'hub')
  await passes(world, covered ? WINDOW_S + 300 + 8 * b : 30 + b)
  host.away = false
  host.start()
  return covered ? 'absent.long' : 'absent.short'
}

async function passes(world: World, seconds: number): Promise<void> {
  for (let left = seconds; left > 0; left -= SLICE_S) {
    for (const machine of world.machines) machine.start()
    await world.pass(Math.min(left, SLICE_S))
    await world.exchange()
  }
}

/** One tower at a time: where a receipt is required, one of two gives it. */
function towerAway(world: World, { a, b }: Instruction): string {
  const host = world.towerHosts[TOWERS[a % TOWERS.length]!]
  if (!tendsTowers(world)) return 'wait'
  host.life?.end()
  host.away = true
  world.later(5 + (b % 60), () => {
    host.away = false
  })
  return 'tower.away'
}

function towerHold(world: World, { a, b }: Instruction): string {
  const name = TOWERS[a % TOWERS.length]!
  if (!tendsTowers(world)) return 'wait'
  world.towers.hold(name)
  world.later(3 + (b % 30), () => world.towers.release(name))
  return 'tower.hold'
}

function close(world: World, { a }: Instruction): string {
  const host = world.list[a % NAMES.length]!
  const id = world.random.pick(world.channelIds(host.name as Name))
  if (id === undefined) return 'wait'
  ignore(host.node?.closeChannel(id))
  return 'close'
}

/** Where the pair has no channel left. */
function open(world: World, { a }: Instruction): string {
  const [from, to] = world.pairs[a % world.pairs.length]!
  const { node, up } = world.hosts[from]
  if (!up || node === undefined || world.channelsWith(from, to).length > 0) return 'wait'
  const peer = world.hosts[to].account
  const wish = { peer, deposit: 100_000n as Amount, share: 50_000n as Amount }
  const key = `open ${world.steps}`
  ignore(node.connect({ account: peer, url: `sim://${to}` }).then(() => node.openChannel(key, wish)))
  return 'open'
}

/** Refusals are answers too: the oracle looks at what became of it. */
function ignore(call: Promise<Result<unknown>> | undefined): void {
  call?.catch(() => undefined)
}

function copy(world: World, { a }: Instruction): string {
  world.copy(NAMES[a % NAMES.length]!)
  return 'copy'
}

function force(world: World, { a }: Instruction): string {
  const name = NAMES[a % NAMES.length]!
  const id = world.random.pick(world.channelIds(name))
  const { node } = world.hosts[name]
  if (id === undefined || node === undefined) return 'wait'
  world.oracle.lapses.force(name, id)
  ignore(node.forceClose(id))
  return 'force'
}

const RESTORED: readonly Name[] = ['payer', 'hospital', 'payer', 'hospital', 'payer', 'hospital', 'hub']

/** C8, S2: whatever the disk is put back to, its owner is never punished for it. */
function restore(world: World, { a, b }: Instruction): string {
  const name = RESTORED[a % RESTORED.length]!
  const host = world.hosts[name]
  const image = world.random.pick(world.copies[name])
  if (image === undefined) return 'wait'
  host.life?.end()
  const { marks } = host.disk
  world.oracle.lapses.restore(name, world.oracle.books.ownedBy(name), b % 3 === 0)
  world.payments.voidAll(name)
  switch (b % 3) {
    case 0:
      host.disk.restore(image)
      return 'restore.files'
    case 1:
      host.disk.restore({ rows: image.rows, marks })
      return 'restore.database'
    default:
      host.disk.restore({ rows: rowsOf(restoredRows(peersOf(world, name))), marks: new Uint8Array(0) })
      return 'restore.seed'
  }
}

const rowsOf = ({ puts }: Batch): Map<string, Uint8Array> =>
  new Map(puts.map(({ key, value }) => [keyText(key), value]))

/** What a backup names. */
const peersOf = ({ hosts, pairs }: World, name: Name): BackupPeer[] =>
  pairs.flatMap(([from, to]): BackupPeer[] => {
    if (name === to) return [{ account: hosts[from].account, url: null }]
    return name === from ? [{ account: hosts[to].account, url: `sim://${to}` }] : []
  })

/** A co-signed state of a copy, under the poster's own key: what a saved disk lets its owner publish. */
export function exitFrom(
  host: Host,
  image: Pick<Image, 'rows'>,
  id: ChannelId,
  ledger: LedgerId,
): TransactionOf<'exit'> | undefined {
  const state = durableChannel(image, id)
  const terms = durableTerms(image, id)
  if (state === undefined || terms === undefined || state.phase === 'funding') return undefined
  const { encoded, signatures } = state.current
  const unsigned = {
    kind: 'exit' as const,
    ledger: ledger as Uint8Array as TransactionOf<'exit'>['ledger'],
    channel: id as Uint8Array as TransactionOf<'exit'>['channel'],
    poster: equalBytes(terms.accounts[0], host.account) ? (0 as const) : (1 as const),
    state: encoded,
    stateSignatures: [signatures[0], signatures[1]] as [Signature, Signature],
  }
  const { signing } = channelKeys(host.secrets.channelSeed, terms)
  return { ...unsigned, signature: curve.sign(transactionDigest(unsigned), signing) }
}

/** Mostly Mallory; now and then one of those who count as honest until then. */
const CHEATS: readonly Name[] = ['mallory', 'mallory', 'mallory', 'mallory', 'mallory', 'hub', 'payer', 'hospital']

const exitOld = (world: World, { a }: Instruction): string => cheat(world, CHEATS[a % CHEATS.length]!)

function cheat(world: World, name: Name): string {
  const host = world.hosts[name]
  const id = world.random.pick(world.channelIds(name))
  if (id === undefined) return 'wait'
  const versionIn = (image: Pick<Image, 'rows'>): number => durableChannel(image, id)?.current.content.version ?? -1
  const now = versionIn(host.disk)
  const image = world.random.pick(world.copies[name].filter((each) => versionIn(each) >= 0 && versionIn(each) < now))
  const exit = image && exitFrom(host, image, id, world.ledger.ledger)
  if (exit === undefined) return 'wait'
  world.oracle.lapses.dishonest.add(name)
  world.ledger.post(exit)
  return `exit.old${name === 'mallory' ? '' : '.other'}`
}

export const ACTIONS: Readonly<Record<ActionName, Action>> = {
  deliver,
  async work(world) {
    for (let left = 1 + world.random.below(4); left > 0; left--) await world.schedule.runOne(world.random)
    return 'work'
  },
  pay,
  payDirect,
  async pass(world, { b }) {
    await world.pass(b % 16 === 0 ? 60 : 1 + (b % 5))
    return 'pass'
  },
  cut: (world) => (world.network.cut() ? 'cut' : 'wait'),
  block,
  stall,
  crash,
  fault(world, { a, b }) {
    const machine = world.machines[a % world.machines.length]!
    if (machine.up) machine.disk.fault = FAULTS[b % FAULTS.length]
    return 'fault'
  },
  reorganise: (world) => (world.ledger.reorganise() ? 'reorganise' : 'wait'),
  withhold(world, { b }) {
    world.ledger.withhold(1 + (b % 2))
    return 'withhold'
  },
  lose(world, { b }) {
    world.ledger.lost += 1 + (b % 3)
    return 'lose'
  },
  forward,
  close,
  open,
  copy,
  force,
  restore,
  exitOld,
  absent,
  towerCrash: (world, { a, b }) => ends(world.towerHosts[TOWERS[a % TOWERS.length]!], 'tower.crash', b),
  towerAway,
  towerHold,
}

/** What cannot be done now lets a message arrive instead. */
export async function act(world: World, instruction: Instruction): Promise<string> {
  const name = await ACTIONS[instruction.action](world, instruction)
  return name === 'wait' ? deliver(world, instruction) : name
}
