/** What waits for a ledger that does not answer: the same bytes again, as long as the channel still wants them. */
import t from 'tap'
import type { Digest } from '../../src/base/bytes.js'
import { cbor } from '../../src/base/codec.js'
import { MeridianError } from '../../src/base/errors.js'
import type { ChainAdapter } from '../../src/base/ports/chain.js'
import { encodeTransaction, type TransactionOf } from '../../src/base/transaction.js'
import { LedgerDesk } from '../../src/node/ledger-desk.js'
import { memoryStore } from '../../src/store/memory.js'
import { Outbox } from '../../src/store/outbox.js'
import { silent, systemTimers } from '../../src/wire/environment.js'
import { role } from '../contract/world.js'

const bytes = (length: number, fill: number) => new Uint8Array(length).fill(fill)
const { key } = role('alice')
const signature = bytes(64, 1) as TransactionOf<'exit'>['signature']
const exit: TransactionOf<'exit'> = {
  kind: 'exit',
  ledger: bytes(32, 2) as Digest,
  channel: bytes(32, 3) as Digest,
  poster: 0,
  state: bytes(9, 4),
  stateSignatures: [signature, signature],
  signature,
}

/** An exit that an earlier process left in its outbox, and a ledger that is away. */
async function waiting(stands: () => boolean) {
  const store = memoryStore()
  const { rows } = (await Outbox.open(store)).stage([cbor({ kind: 'submit', transaction: encodeTransaction(exit) })])
  await store.write({ puts: rows, deletes: [] })
  const outbox = await Outbox.open(store)
  const waits: (() => void)[] = []
  let submitted = 0
  const chain = {
    submit: () => {
      submitted += 1
      return Promise.reject(new MeridianError('unavailable'))
    },
  } as unknown as ChainAdapter
  const after = (_ms: number, task: () => void) => {
    waits.push(task)
    return () => undefined
  }
  const timers = { ...systemTimers, after }
  const channels = { stands, refused: () => undefined }
  const desk = new LedgerDesk(chain, outbox, key, silent, timers, channels)
  const told: string[] = []
  desk.resume((_transaction, outcome) => told.push(outcome.ok ? 'final' : outcome.error.code))
  const again = async () => {
    await new Promise((resolve) => setImmediate(resolve))
    waits.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { again, told, count: () => submitted, left: () => outbox.takeDone().length }
}

t.test('an exit is tried again while its channel is exiting', async (t) => {
  const { again, told, count, left } = await waiting(() => true)
  await again()
  await again()
  t.equal(count(), 3)
  t.strictSame([told, left()], [[], 0])
})

t.test('C8: a channel that is shown to be behind meanwhile takes its exit back', async (t) => {
  let exiting = true
  const { again, told, count, left } = await waiting(() => exiting)
  await again()
  exiting = false
  await again()
  await again()
  t.equal(count(), 2, 'not once more')
  t.strictSame([told, left()], [['exit_unlicensed'], 1], 'and never again')
})
