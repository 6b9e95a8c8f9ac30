/** A chain of blocks with every kind of transaction, made without a ledger process, and ways to forge it. */
import { z } from 'zod'
import { bytesToHex } from '../../src/base/bytes.js'
import type { Scalar } from '../../src/base/curve/index.js'
import type { Genesis } from '../../src/base/genesis.js'
import type { LedgerHead } from '../../src/base/ports/chain.js'
import { decodeTransaction, encodeTransaction, type Transaction, zTransaction } from '../../src/base/transaction.js'
import type { AuditSource } from '../../src/chain-adapter/audit/audit.js'
import { type Block, type BlockBody, beforeGenesis, sealBlock, sortedWrites } from '../../src/chain-adapter/block.js'
import { checkDigest, runCheck } from '../../src/privacy/check.js'
import type { ProofCheck } from '../../src/privacy/statement.js'
import { mint, redeem, register, rollover, transfer } from '../contract/account-transactions.js'
import {
  closeChannel,
  exit,
  lock,
  openChannel,
  punish,
  reveal,
  settle,
  signState,
  supersede,
} from '../contract/channel-transactions.js'
import { role, signedBy, type Verify, World } from '../contract/world.js'
import { must } from './fixtures.js'

const [alice, bob] = [role('alice'), role('bob')]
const verdicts = new Map<string, boolean>()

/** Real verdicts, each computed once: the same chain is audited many times. */
export function remembered(check: ProofCheck): boolean {
  const digest = bytesToHex(checkDigest(check))
  const verdict = verdicts.get(digest) ?? runCheck(check)
  verdicts.set(digest, verdict)
  return verdict
}

/** Seals what is accepted on a world into blocks of one transaction each. */
export class History {
  readonly world: World
  readonly blocks: Block[] = []

  constructor(
    private readonly headKey: Scalar = role('issuer').key,
    genesis: Partial<Genesis> = {},
  ) {
    this.world = new World(genesis)
    this.#seal([], new Map(this.world.records))
  }

  /** @throws where the contract refuses; `verify` is a dishonest ledger's. */
  accept(tx: Transaction, verify: Verify = remembered): void {
    const applied = this.world.apply(tx, verify)
    if (!applied.ok) throw new Error(`${tx.kind} refused: ${applied.error.code} ${applied.error.detail ?? ''}`)
    for (const [key, value] of applied.writes) this.world.records.set(key, value)
    this.#seal([encodeTransaction(tx)], applied.writes)
    this.world.pass(0)
  }

  #seal(transactions: Uint8Array[], writes: ReadonlyMap<string, Uint8Array>): void {
    const { genesis, ledger, at } = this.world
    const previous = this.blocks.at(-1)?.head ?? beforeGenesis(genesis, ledger)
    const body = { transactions, refusals: [], writes: sortedWrites(writes) }
    this.blocks.push(sealBlock(ledger, previous, at.time, body, this.headKey))
  }
}

/** Alice has 1000, pays bob 300, redeems 100, and has three channels with bob: closed, settled, punished. */
export function fullHistory(): History {
  const history = new History()
  const { world } = history
  for (const who of [alice, bob]) history.accept(register(world, who))
  history.accept(mint(world, alice, 1_000n))
  for (const _ of [1, 2]) history.accept(rollover(world, alice))
  history.accept(transfer(world, alice, bob, 300n))
  for (const _ of [1, 2]) history.accept(rollover(world, bob))
  history.accept(redeem(world, bob, 100n))

  const first = openChannel(world, { parties: [alice, bob], deposits: [100n, 50n] })
  history.accept(first.tx)
  history.accept(closeChannel(world, first.channel, [30n, 120n]))

  const second = openChannel(world, { parties: [alice, bob], deposits: [60n, 0n] })
  history.accept(second.tx)
  history.accept(exit(world, second.channel, 0, second.channel.state0))
  const offered = lock(world, 0, 7n, world.at.time + 50)
  const newer = signState(world, second.channel, { version: 4, balance: 20n, locks: [offered] })
  history.accept(supersede(world, second.channel, newer))
  history.accept(reveal(world, bob, [offered.scalar]))
  world.pass(101)
  world.at = { ...world.at, height: world.at.height - 1 }
  history.accept(settle(world, second.channel, newer, []))

  const third = openChannel(world, { parties: [alice, bob], deposits: [50n, 40n] })
  history.accept(third.tx)
  history.accept(exit(world, third.channel, 0, signState(world, third.channel, { version: 3, balance: 88n })))
  history.accept(punish(world, third.channel, 0, 3))
  history.accept(reveal(world, bob, [lock(world, 1, 8n, world.at.time + 50).scalar], alice))
  return history
}

/** A ledger without time of its own (A3): alice alone advances it. */
export function tickHistory(): History {
  const clock = { accounts: [alice.account], quorum: 1, stepMax: 30, blocksMin: 1 }
  const history = new History(undefined, { clock })
  const { world } = history
  history.accept(register(world, alice))
  const time = world.at.time + 10
  history.accept(
    signedBy(alice, { kind: 'tick', ledger: world.ledger, account: alice.account, nonce: 1, time } as const),
  )
  return history
}

/** What a ledger with these blocks hands out. */
export const sourceOf = (history: History, blocks: readonly Block[] = history.blocks): AuditSource => ({
  genesis: history.world.genesis,
  head: async (): Promise<LedgerHead> => blocks.at(-1)!.head,
  blocks: async (from) => blocks.slice(from, from + 5),
})

/** The chain up to a block whose body is another one, hashed and signed again by the head key itself. */
export function rechained(history: History, at: number, change: (body: BlockBody) => Partial<BlockBody>): Block[] {
  const { head, ...body } = history.blocks[at]!
  const before = history.blocks.slice(0, at)
  const forged = sealBlock(
    history.world.ledger,
    before.at(-1)!.head,
    head.time,
    { ...body, ...change(body) },
    role('issuer').key,
  )
  return [...before, forged]
}

export const transactionOf = (block: Block): Transaction => must(decodeTransaction(block.transactions[0]!))

/** Every leaf of a transaction's schema, by kind: what `alterations` has to reach. Of a list, the first element. */
export const leavesOf = (kind: Transaction['kind']): string[] =>
  leaves(zTransaction.options.find((option) => option.shape.kind.value === kind)!, '')

function leaves(schema: z.core.$ZodType, path: string): string[] {
  const at = (name: string): string => (path === '' ? name : `${path}.${name}`)
  if (schema instanceof z.ZodObject) {
    return Object.entries(schema.shape).flatMap(([name, field]) => leaves(field as z.core.$ZodType, at(name)))
  }
  if (schema instanceof z.ZodTuple) return schema.def.items.flatMap((item, i) => leaves(item, at(`${i}`)))
  if (schema instanceof z.ZodArray) return leaves(schema.element, at('0'))
  if (schema instanceof z.ZodNullable) return leaves(schema.unwrap(), path)
  return [path]
}

/** The same value with one bit or one unit changed in one leaf: every leaf of a transaction in turn. */
export function* alterations(value: unknown, path = ''): Generator<{ readonly path: string; readonly value: unknown }> {
  if (value instanceof Uint8Array) {
    const last = value.length - 1
    yield { path, value: value.map((byte, i) => (i === last ? byte ^ 1 : byte)) }
  } else if (typeof value === 'number') {
    yield { path, value: value === 0 ? 1 : value - 1 }
  } else if (typeof value === 'string') {
    yield { path, value: value === 'mint' ? 'redeem' : 'mint' }
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      for (const inner of alterations(item, path === '' ? key : `${path}.${key}`)) {
        const copy = Array.isArray(value) ? [...value] : { ...value }
        yield { path: inner.path, value: Object.assign(copy, { [key]: inner.value }) }
      }
    }
  }
}
