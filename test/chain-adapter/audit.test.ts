/** The audit (L3, L4 to L9): every kind of transaction, every field of it altered, with and without re-chaining. */
import t from 'tap'
import { bytesToHex } from '../../src/base/bytes.js'
import { cbor } from '../../src/base/codec.js'
import { MeridianError } from '../../src/base/errors.js'
import { type TransactionKind, zTransaction } from '../../src/base/transaction.js'
import { type AuditOptions, auditLedger, type PlacedMovement } from '../../src/chain-adapter/audit/audit.js'
import { type Block, sealBlock } from '../../src/chain-adapter/block.js'
import { exportPrivateKey } from '../../src/privacy/paillier.js'
import { createPool } from '../../src/privacy/pool.js'
import { mint, register, rollover, transfer } from '../contract/account-transactions.js'
import { closeChannel, openChannel } from '../contract/channel-transactions.js'
import { role, World } from '../contract/world.js'
import {
  alterations,
  fullHistory,
  History,
  leavesOf,
  rechained,
  remembered,
  sourceOf,
  tickHistory,
  transactionOf,
} from './history.js'

const [alice, bob, issuer, regulator] = [role('alice'), role('bob'), role('issuer'), role('regulator')]
const workers = createPool({ threads: 1 })
t.teardown(() => workers.close())
const key = await workers.openKey(exportPrivateKey(regulator.paillier))

const history = fullHistory()
const { blocks } = history
const nameOf = new Map([alice, bob, issuer, regulator].map(({ account, name }) => [bytesToHex(account), name]))

/** Verdicts are real and remembered; decryption runs in the pool. */
const audit = (source: AuditOptions['source'], more: Partial<AuditOptions> = {}) =>
  auditLedger({
    source,
    regulator: key,
    pool: { ...workers, verify: async (check) => remembered(check) },
    ...more,
  })

/** `code block/transaction` of every finding. */
const findings = async (source: AuditOptions['source'], more: Partial<AuditOptions> = {}) => {
  const report = await audit(source, more)
  if ((report.verdict === 'CONSISTENT') !== (report.findings.length === 0))
    throw new Error('verdict and findings differ')
  return report.findings.map(({ code, block, transaction }) => `${code} ${block ?? '-'}/${transaction ?? '-'}`)
}

t.test('a consistent ledger, with proofs in the pool', async (t) => {
  const movements: PlacedMovement[] = []
  const report = await auditLedger({
    source: sourceOf(history),
    regulator: key,
    pool: workers,
    head: blocks[5]!.head.stateHash,
    onMovement: (movement) => void movements.push(movement),
  })
  t.same(report.findings, [])
  t.equal(report.verdict, 'CONSISTENT')
  t.same(report.head, blocks.at(-1)!.head)
  t.equal(report.blocks, blocks.length)
  t.equal(report.transactions, blocks.length - 1)
  t.same(report.totals, { minted: 1_000n, held: 900n, locked: 0n, redeemed: 100n })
  const flows = new Map(report.accounts.map((flow) => [nameOf.get(bytesToHex(flow.account)), flow]))
  t.same([...flows.keys()].sort(), ['alice', 'bob', 'issuer', 'regulator'])
  t.match(flows.get('alice'), {
    received: { mint: 1_000n, transfer: 0n, close: 30n, settle: 20n, punish: 0n },
    given: { transfer: 300n, redeem: 0n, deposit: 210n },
    held: 540n,
  })
  t.match(flows.get('bob'), {
    received: { mint: 0n, transfer: 300n, close: 120n, settle: 40n, punish: 90n },
    given: { transfer: 0n, redeem: 100n, deposit: 90n },
    held: 360n,
  })
  t.match(report.channels, [
    { deposits: [100n, 50n], payouts: [30n, 120n], ended: 'close' },
    { deposits: [60n, 0n], payouts: [20n, 40n], ended: 'settle' },
    { deposits: [50n, 40n], payouts: [0n, 90n], ended: 'punish' },
  ])
  t.same(
    movements.map(({ block }) => block),
    movements.map(({ block }) => block).sort((a, b) => a - b),
    'movements come in ledger order',
  )
  t.same(movements.map(({ kind, amount }) => `${kind} ${amount}`).slice(0, 5), [
    'mint 1000',
    'transfer 300',
    'redeem 100',
    'deposit 100',
    'deposit 50',
  ])
})

t.test('locked deposits count until the channel ends', async (t) => {
  const opening = blocks.findIndex((block) => block.transactions[0] && transactionOf(block).kind === 'openChannel')
  const report = await audit(sourceOf(history, blocks.slice(0, opening + 1)))
  t.equal(report.verdict, 'CONSISTENT')
  t.same(report.totals, { minted: 1_000n, held: 750n, locked: 150n, redeemed: 100n })
  t.match(report.channels, [{ payouts: null, ended: null }])
})

t.test('only the regulator audits', async (t) => {
  const other = await workers.openKey(exportPrivateKey(alice.paillier))
  await t.rejects(audit(sourceOf(history), { regulator: other }), { code: 'not_regulator' })
})

/** Where the last one of every kind stands. */
const examples = new Map<TransactionKind, { readonly history: History; readonly at: number }>()
for (const of of [tickHistory(), history]) {
  for (const [at, block] of of.blocks.entries()) {
    if (block.transactions.length > 0) examples.set(transactionOf(block).kind, { history: of, at })
  }
}

t.test('every field of every kind', async (t) => {
  const kinds = zTransaction.options.map((option) => option.shape.kind.value)
  t.same([...examples.keys()].sort(), kinds.sort(), 'the histories hold every kind')
  for (const [kind, { history, at }] of examples) {
    const { blocks } = history
    const altered = [...alterations(transactionOf(blocks[at]!))]
    t.same(altered.map(({ path }) => path).sort(), leavesOf(kind).sort(), `${kind}: every field of the schema`)
    for (const { path, value } of altered) {
      const transactions = [cbor(value)]
      const naive = blocks.slice(0, at + 1).map((block, i) => (i === at ? { ...block, transactions } : block))
      t.ok((await findings(sourceOf(history, naive))).includes(`ledger_head ${at}/-`), `${kind}.${path}: hash`)
      const forged = rechained(history, at, () => ({ transactions }))
      const found = await findings(sourceOf(history, forged))
      t.ok(
        found.some((text) => text.endsWith(` ${at}/0`)),
        `${kind}.${path}, re-chained: ${found.join(', ')}`,
      )
    }
  }
})

t.test('a dishonest head key', async (t) => {
  const known = blocks.at(-1)!.head.stateHash
  const last = blocks.length - 1
  await t.test('leaves out or rewrites what is legal in itself: the pinned head finds it', async (t) => {
    t.same(await findings(sourceOf(history), { head: known }), [])
    const shorter = blocks.slice(0, last)
    t.same(await findings(sourceOf(history, shorter)), [], 'a legal chain')
    t.same(await findings(sourceOf(history, shorter), { head: known }), ['audit_pinned -/-'])

    const [honest, second] = [new History(), new History()]
    for (const it of [honest, second]) {
      it.accept(register(it.world, alice))
      it.accept(mint(it.world, alice, it === honest ? 9n : 8n))
    }
    t.same(await findings(sourceOf(second)), [], 'an issuer that mints another amount with the same nonce')
    t.same(await findings(sourceOf(second), { head: honest.blocks.at(-1)!.head.stateHash }), ['audit_pinned -/-'])
  })

  await t.test('skips proofs', async (t) => {
    const dishonest = new History()
    const { world } = dishonest
    const skip = () => true
    for (const who of [alice, bob]) dishonest.accept(register(world, who))
    const hidden = mint(world, alice, 500n, { ciphertextRegulator: world.encrypt(regulator, 5n) })
    dishonest.accept(hidden, skip)
    const minted = dishonest.blocks.length - 1
    t.same(await findings(sourceOf(dishonest)), [`bad_proof ${minted}/0`], 'another amount for the regulator')
    for (const _ of [1, 2]) dishonest.accept(rollover(world, alice))
    const { tx, channel } = openChannel(world, { parties: [alice, bob], deposits: [4n, 0n] })
    dishonest.accept(tx)
    const close = closeChannel(world, channel, [4n, 100n])
    dishonest.accept(close, skip)
    const closed = dishonest.blocks.length - 1
    t.same(
      await findings(sourceOf(dishonest)),
      [`bad_proof ${minted}/0`, `bad_proof ${closed}/0`, `audit_conservation ${closed}/0`, 'audit_conservation -/-'],
      'a channel pays out what nobody deposited',
    )
    dishonest.accept(transfer(world, alice, bob, 1n, { ciphertextRegulator: world.encrypt(regulator, 60_000n) }), skip)
    const paid = dishonest.blocks.length - 1
    t.ok((await findings(sourceOf(dishonest))).includes(`audit_overdrawn ${paid}/0`))
    dishonest.accept(mint(world, bob, 1n, { ciphertextRegulator: world.encrypt(regulator, 1n << 16n) }), skip)
    t.ok((await findings(sourceOf(dishonest))).includes(`audit_amount ${paid + 1}/0`))
  })

  await t.test('writes something else than its transactions', async (t) => {
    const { at } = examples.get('transfer')!
    const bob40 = (body: { readonly writes: Block['writes'] }) =>
      body.writes.map(([name, bytes], i): [string, Uint8Array] => [name, i === 0 ? bytes.with(40, 7) : bytes])
    const altered = rechained(history, at, (body) => ({ writes: bob40(body) }))
    t.same(await findings(sourceOf(history, altered)), [`ledger_block ${at}/-`])
    const fewer = rechained(history, at, (body) => ({ writes: body.writes.slice(1) }))
    t.same(await findings(sourceOf(history, fewer)), [`ledger_block ${at}/-`])
    const twice = rechained(history, at, (body) => ({ transactions: [...body.transactions, ...body.transactions] }))
    t.same(await findings(sourceOf(history, twice)), [`bad_nonce ${at}/1`], 'a transaction a second time')
  })

  await t.test('another key signs', async (t) => {
    const { head, ...body } = blocks[last]!
    const forged = sealBlock(history.world.ledger, blocks[last - 1]!.head, head.time, body, bob.key)
    t.same(await findings(sourceOf(history, [...blocks.slice(0, last), forged])), [`ledger_head ${last}/-`])
  })
})

t.test('a source that hands out no chain', async (t) => {
  const source = sourceOf(history)
  const withheld = { ...source, blocks: async (from: number) => (from < 4 ? blocks.slice(from, 4) : []) }
  t.same(await findings(withheld), ['audit_withheld 4/-'])
  const garbled = async (from: number): Promise<readonly Block[]> => {
    if (from === 0) return blocks.slice(0, 3)
    throw new MeridianError('bad_encoding')
  }
  t.same(await findings({ ...source, blocks: garbled }), ['bad_encoding 3/-'])
  t.same(await findings({ ...source, head: async () => Promise.reject(new MeridianError('ledger_head')) }), [
    'ledger_head 0/-',
  ])
  const forked = { ...source, head: async () => ({ ...blocks.at(-1)!.head, stateHash: blocks[1]!.head.stateHash }) }
  t.same(await findings(forked), [`ledger_head ${blocks.length - 1}/-`], 'another head than the chain has')
  const gone = { ...source, blocks: async () => Promise.reject(new MeridianError('unavailable')) }
  await t.rejects(audit(gone), { code: 'unavailable' }, 'no answer is no verdict')
  const bad = new World({ regulator: { ...history.world.genesis.regulator, keyProof: alice.keyProof } }).genesis
  t.ok((await findings({ ...source, genesis: bad })).includes('bad_genesis -/-'))
})
