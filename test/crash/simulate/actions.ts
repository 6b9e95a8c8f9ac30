/** What the instructions of a program do to a world. Each answers with the name under which it is counted. */
import type { Amount } from '../../../src/base/amount.js'
import { equalBytes } from '../../../src/base/bytes.js'
import { curve, type Signature } from '../../../src/base/curve/index.js'
import { type ChannelId, idText, type LedgerId } from '../../../src/base/ids.js'
import type { Batch } from '../../../src/base/ports/store.js'
import type { Result } from '../../../src/base/result.js'
import { type TransactionOf, transactionDigest } from '../../../src/base/transaction.js'
import { channelKeys } from '../../../src/channel/keys.js'
import { restoredRows } from '../../../src/node/kept-peers.js'
import type { BackupPeer } from '../../../src/store/backup.js'
import { NAMES, type Name, SLICE_S } from './base.js'
import { type Fault, type Image, keyText } from './disk.js'
import { durableChannel, durableTerms } from './durable.js'
import type { Host } from './host.js'
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
const PAIRS = ['hub-payer', 'hospital-hub', 'hub-mallory']
const FAULTS: readonly Fault[] = ['full', 'refused', 'unsynced']
const PENDING_MAX = 6

function pay(world: World, { a, b }: Instruction): string {
  if (world.payments.pending >= PENDING_MAX) return 'wait'
  // Mostly where it can succeed; a refusal on the way is a case too.
  const able = ROUTES.filter((route) => route.every((name) => name === 'hub' || isReady(world.hosts[name])))
  const routes = able.length === 0 || b % 16 === 0 ? ROUTES : able
  const [from, to] = routes[a % routes.length]!
  world.payments.start(from, to, BigInt(1 + b * 40))
  return 'pay'
}

const isReady = (host: Host): boolean =>
  host.channels().some(({ state }) => state.link === 'live' && state.phase === 'open')

/** Nothing on its way: a payment begins, so that something is. */
async function deliver(world: World, instruction: Instruction): Promise<string> {
  if (world.network.underWay === 0) await world.settle()
  const name = world.network.deliver()
  if (name === undefined) return pay(world, { ...instruction, b: instruction.b >> 3 })
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

function crash(world: World, { a, b }: Instruction): string {
  const host = world.list[a % NAMES.length]!
  if (!host.up) return 'wait'
  const power = b % 2 === 0
  host.powerFails = power
  // Now, or between any two of the things that it does to the outside next.
  if (b % 8 < 2) host.life?.end()
  else host.life?.light((b >> 3) % 24)
  return power ? 'crash.power' : 'crash.kill'
}

function block(world: World, { a, b }: Instruction): string {
  const pair = PAIRS[a % PAIRS.length]!
  const { blocked } = world.network
  if (blocked.has(pair)) return 'wait'
  blocked.add(pair)
  world.network.trouble(pair)
  world.network.cut(pair)
  world.later(2 + (b % 8 === 0 ? 60 : b % 10), () => blocked.delete(pair))
  return 'away'
}

function stall(world: World, { a, b }: Instruction): string {
  const pair = PAIRS[a % PAIRS.length]!
  const { stalled } = world.network
  if (stalled.has(pair)) return 'wait'
  stalled.add(pair)
  world.network.trouble(pair)
  world.later(2 + (b % 8 === 0 ? 60 : b % 20), () => stalled.delete(pair))
  return 'hold'
}

/** Every node is up and hears every block: whoever is away longer than its windows needs towers. */
async function forward(world: World, { b }: Instruction): Promise<string> {
  const seconds = 900 + 12 * b
  for (let left = seconds; left > 0; left -= SLICE_S) {
    for (const host of world.list) host.start()
    await world.pass(Math.min(left, SLICE_S))
    await world.exchange()
  }
  return 'forward'
}

function close(world: World, { a }: Instruction): string {
  const host = world.list[a % NAMES.length]!
  const id = world.random.pick(world.channelIds(host.name as Name))
  if (id === undefined) return 'wait'
  ignore(host.node?.closeChannel(id))
  return 'close'
}

const OPENINGS: readonly (readonly [Name, Name])[] = [
  ['payer', 'hub'],
  ['hospital', 'hub'],
  ['mallory', 'hub'],
]

/** Where the pair has no channel left. */
function open(world: World, { a }: Instruction): string {
  const [from, to] = OPENINGS[a % OPENINGS.length]!
  const host = world.hosts[from]
  if (!host.up || host.node === undefined || world.channelIds(from).length > 0) return 'wait'
  const wish = { peer: world.hosts[to].account, deposit: 100_000n as Amount, share: 50_000n as Amount }
  ignore(host.node.openChannel(`open ${world.steps}`, wish))
  return 'open'
}

/** Refusals are answers too: the oracle looks at what became of it. */
function ignore(call: Promise<Result<unknown>> | undefined): void {
  call?.catch(() => undefined)
}

function copy(world: World, { a }: Instruction): string {
  const name = NAMES[Math.min(a % 6, 3)]! // mallory's most often
  world.copies[name].push(world.hosts[name].disk.image())
  return 'copy'
}

function force(world: World, { a }: Instruction): string {
  const name = NAMES[a % NAMES.length]!
  const id = world.random.pick(world.channelIds(name))
  const { node } = world.hosts[name]
  if (id === undefined || node === undefined) return 'wait'
  world.oracle.forced.add(idText(id))
  ignore(node.forceClose(id))
  return 'force'
}

const RESTORED: readonly Name[] = ['payer', 'hospital', 'payer', 'hospital', 'hub']

/** C8, S2: whatever the disk is put back to, its owner is never punished for it. */
function restore(world: World, { a, b }: Instruction): string {
  const name = RESTORED[a % RESTORED.length]!
  const host = world.hosts[name]
  const image = world.random.pick(world.copies[name])
  if (image === undefined) return 'wait'
  host.life?.end()
  const { marks } = host.disk
  world.oracle.restored.add(name)
  switch (b % 3) {
    case 0:
      host.disk.restore(image)
      world.oracle.copied.add(name)
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
const peersOf = (world: World, name: Name): BackupPeer[] =>
  NAMES.filter((other) => (name === 'hub') !== (other === 'hub')).map((other) => ({
    account: world.hosts[other].account,
    url: other === 'hub' ? 'sim://hub' : null,
  }))

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

function exitOld(world: World): string {
  const host = world.hosts.mallory
  const id = world.random.pick(world.channelIds('mallory'))
  if (id === undefined) return 'wait'
  const versionIn = (image: Pick<Image, 'rows'>): number => durableChannel(image, id)?.current.content.version ?? -1
  const now = versionIn(host.disk)
  const image = world.random.pick(world.copies.mallory.filter((each) => versionIn(each) >= 0 && versionIn(each) < now))
  const exit = image && exitFrom(host, image, id, world.ledger.ledger)
  if (exit === undefined) return 'wait'
  world.oracle.dishonest.add('mallory')
  world.ledger.post(exit)
  return 'exit.old'
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
    const host = world.list[a % NAMES.length]!
    if (host.up) host.disk.fault = FAULTS[b % FAULTS.length]
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
}

export const act = async (world: World, instruction: Instruction): Promise<string> =>
  ACTIONS[instruction.action](world, instruction)
