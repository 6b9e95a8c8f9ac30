/**
 * R2: payer → hub → hub → hospital. What the first hub's memory, log and disk hold of the payment is predecessor, successor,
 * its own two locks and y: all that is written to in its process, and every row of its directory opened with its own keys,
 * is searched for what it must not have, and for what it may have, which must be found.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { amountToBytes } from '../../src/base/amount.js'
import { bytesToHex, utf8 } from '../../src/base/bytes.js'
import { sha256 } from '../../src/base/digest.js'
import { idText } from '../../src/base/ids.js'
import { serveLedger } from '../../src/chain-adapter/embedded/server.js'
import { invoiceDigest, invoiceScalar, parseInvoice } from '../../src/router/invoice.js'
import { createDirectory } from '../../src/store/directory.js'
import { admit, type RegistrationRequest } from '../../src/wallet/registration.js'
import { must } from '../chain-adapter/fixtures.js'
import type { Answer, Order } from './hub-process.js'
import { cents, until, Village } from './village.js'

const LINUX = existsSync('/proc/self/mem')
/** Six bytes that nothing else has by chance. */
const AMOUNT = 0x0a17_c3e9_41n * 256n + 0xb7n
const DEPOSIT = 1n << 45n

const village = await Village.build()
const served = await serveLedger(village.ledger)
const child: ChildProcess = fork(fileURLToPath(new URL('./hub-process.js', import.meta.url)), {
  stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
})
t.teardown(async () => {
  if (child.exitCode === null) {
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  await served.close()
  await village.close()
})

async function order(what: Order): Promise<Answer> {
  child.send(what)
  const [answer] = (await once(child, 'message')) as [Answer]
  return answer
}

const dir = join(village.root, 'first-hub')
const passphrase = join(village.root, 'passphrase')
const seed = sha256(utf8('meridian test person first-hub'))
const made = must(await createDirectory(dir, passphrase, { test: true, seed }))
const { account } = (await village.people.get('first-hub')).keys
await made.close()

const { wallet } = { wallet: village.issuer }
const { ledger: id } = wallet.parts.chain
const begun = await order({ kind: 'begin', dir, passphrase, ledger: served.url, id: idText(id) })
if (begun.kind !== 'begun') throw new Error('the hub did not begin')
await order({ kind: 'register', admission: must(await admit(wallet, begun.request as RegistrationRequest)) })
must(await wallet.mint('first-hub', account, cents(DEPOSIT)))

const hub2 = await village.start('hub2', {
  forwarding: true,
  open: { enabled: true, depositMin: cents(1n), shareMax: cents(DEPOSIT) },
})
const payer = await village.start('payer')
const hospital = await village.start('hospital')
await village.fund(hub2, DEPOSIT)
await village.fund(payer, DEPOSIT)
await village.fund(hospital, 100n)

/** From a villager to the first hub. */
async function toFirst(from: typeof payer, deposit: bigint, share: bigint): Promise<void> {
  must(await from.node.connect({ account, url: begun.kind === 'begun' ? begun.url : '' }))
  const id = must(
    await from.node.openChannel('to-first', { peer: account, deposit: cents(deposit), share: cents(share) }),
  )
  await until(() => from.node.channel(id)?.ready === true)
}
await toFirst(payer, DEPOSIT - 1_000n, 0n)
await toFirst(hub2, 1n, DEPOSIT - 1_000n)
await village.channel(hospital, hub2, 1n, DEPOSIT - 1_000n)

const wish = { amount: cents(AMOUNT), reference: 'claim of a patient, 7319', expiresIn: 9_000 }
const { text } = must(await hospital.node.issueInvoice('claim', wish))
const invoice = must(parseInvoice(text))
const feeMax = cents(AMOUNT / 1_000n)
await until(() => payer.node.quote(text, feeMax).ok)
const quote = must(payer.node.quote(text, feeMax))
must(await payer.node.pay('key', text, feeMax))
t.match(await payer.node.waitPayment('key', 60_000), { status: 'succeeded', hops: 3 })

interface Needle {
  readonly name: string
  readonly bytes: Uint8Array
}

/** As bytes, as hexadecimal in either case, and as the engine keeps a bigint: its digits backwards. */
const forms = ({ bytes }: Needle): Buffer[] => [
  Buffer.from(bytes),
  Buffer.from(bytesToHex(bytes)),
  Buffer.from(bytesToHex(bytes).toUpperCase()),
  Buffer.from(bytes).reverse(),
]
const foundIn = (haystack: Buffer, needles: readonly Needle[]): string[] =>
  needles.filter((needle) => forms(needle).some((form) => haystack.includes(form))).map(({ name }) => name)

const scalar = invoiceScalar(hospital.directory.secrets.walletSeed, id, invoice.secret)
/** Of the payment, beyond this hub: nothing of it may be here. */
const FORBIDDEN: readonly Needle[] = [
  { name: "the invoice's point", bytes: invoice.point.subarray(1) },
  { name: 'its scalar, the proof of payment', bytes: scalar },
  { name: 'the payment secret', bytes: invoice.secret },
  { name: 'the invoice', bytes: invoiceDigest(invoice) },
  { name: 'its text', bytes: utf8(text.slice(100, 140)) },
  { name: 'the reference', bytes: utf8(wish.reference) },
  { name: 'what the hospital gets', bytes: amountToBytes(cents(AMOUNT)).subarray(2) },
  { name: 'the same in words', bytes: utf8(AMOUNT.toString()) },
]
/** The ledger tells everybody of accounts and channels, so memory may have heard of it; the hub's own rows have not. */
const PAYEE: Needle = { name: 'the payee', bytes: hospital.node.account }
const outgoing = AMOUNT + (AMOUNT + 9_999n) / 10_000n
const ALLOWED: Needle = { name: 'what it forwards', bytes: amountToBytes(cents(outgoing)).subarray(2) }
const NEIGHBOURS: readonly Needle[] = [
  { name: 'predecessor', bytes: payer.node.account },
  { name: 'successor', bytes: hub2.node.account },
]

t.test('memory and log of a running hub', { skip: LINUX ? false : 'needs /proc' }, async (t) => {
  t.equal(quote.amount + quote.fee, outgoing + (outgoing + 9_999n) / 10_000n, 'what it forwards is known here')
  const file = join(village.root, 'memory')
  await order({ kind: 'dump', file })
  const memory = readFileSync(file)
  t.same(foundIn(memory, NEIGHBOURS), ['predecessor', 'successor'], `${memory.length >> 20} MiB were searched`)
  t.same(foundIn(memory, [ALLOWED]), [ALLOWED.name], 'amounts are found as memory has them')
  t.same(foundIn(memory, FORBIDDEN), [])
  const planted = [...FORBIDDEN.slice(0, 2), FORBIDDEN[6]!]
  for (const { bytes } of planted) await order({ kind: 'keep', hex: bytesToHex(bytes) })
  await order({ kind: 'dump', file })
  t.same(
    foundIn(readFileSync(file), FORBIDDEN),
    planted.map(({ name }) => name),
    'what is planted is found',
  )
})

t.test('its disk, opened with its own keys', async (t) => {
  await order({ kind: 'stop' })
  const files = readdirSync(dir, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile())
  const raw = Buffer.concat(files.map((entry) => readFileSync(join(entry.parentPath, entry.name))))
  t.same(foundIn(raw, [...FORBIDDEN, ALLOWED]), [], 'a thief sees ciphertext')
  const directory = await village.diary('first-hub')
  const rows: Uint8Array[] = []
  for await (const { key, value } of directory.store.range({ from: Uint8Array.of(1), to: Uint8Array.of(255) })) {
    rows.push(key, value)
  }
  const open = Buffer.concat(rows)
  await directory.close()
  t.same(foundIn(open, [ALLOWED]), [ALLOWED.name], `${rows.length / 2} rows were searched`)
  t.same(foundIn(open, [...FORBIDDEN, PAYEE]), [])
})
