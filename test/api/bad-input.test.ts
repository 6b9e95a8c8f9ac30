/** What no honest writer writes, at every door that reads bytes or text: a clear refusal, nothing thrown, nothing kept. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { bech32m } from '@scure/base'
import { encode } from 'cborg'
import fc from 'fast-check'
import t from 'tap'
import { parseJson } from '../../src/api/json.js'
import { concatBytes, utf8 } from '../../src/base/bytes.js'
import { cbor } from '../../src/base/codec.js'
import { ERRORS, MeridianError } from '../../src/base/errors.js'
import { decodeGenesis } from '../../src/base/genesis.js'
import { LIMITS } from '../../src/base/limits.js'
import { towerCodec } from '../../src/base/message/tower.js'
import type { Result } from '../../src/base/result.js'
import { decodeTransaction } from '../../src/base/transaction.js'
import { unpackOperations } from '../../src/channel/operation.js'
import { nodeCodec } from '../../src/node/messages.js'
import { parseAnnouncement } from '../../src/router/announcement.js'
import { decodeFailure } from '../../src/router/failure.js'
import { formatInvoice, parseInvoice } from '../../src/router/invoice.js'
import { peelOnion } from '../../src/router/onion/packet.js'
import { decodePayload } from '../../src/router/payload.js'
import { verifyReceipt } from '../../src/router/receipt.js'
import { bob, carol, invoiceOf, ledger } from '../router/support.js'

const SEED = 2_026

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const heap = (): number => {
  collect()
  return process.memoryUsage().heapUsed
}

type Reader = (bytes: Uint8Array) => Result<unknown> | unknown

const asText = (bytes: Uint8Array): string => bech32m.encode('mrd', bech32m.toWords(bytes), false)
const MESSAGE_TYPES = [32, 34, 36, 38, 40, 64, 66, 68, 70, 72, 74, 76, 80, 82, 129, 131, 133, 135]

/** Every reader of a stranger's bytes. */
const READERS: Readonly<Record<string, Reader>> = {
  payloadForward: (bytes) => decodePayload(bytes, false),
  payloadFinal: (bytes) => decodePayload(bytes, true),
  onion: (bytes) => peelOnion(bytes, bob.key, bytes.subarray(0, 9)),
  failure: (bytes) => decodeFailure(bytes) ?? { ok: false, error: { code: 'bad_encoding' } },
  invoice: (bytes) => parseInvoice(asText(bytes)),
  announcement: (bytes) => parseAnnouncement(bytes, ledger),
  transaction: (bytes) => decodeTransaction(bytes),
  genesis: (bytes) => decodeGenesis(bytes),
  operations: (bytes) => unpackOperations(bytes, 0),
  receipt: (bytes) => verifyReceipt(Buffer.from(bytes).toString('latin1')),
  ...Object.fromEntries(
    MESSAGE_TYPES.flatMap((type) =>
      [nodeCodec, towerCodec].map((codec, i) => [
        `message ${type}/${i}`,
        (bytes: Uint8Array) => codec.decode(concatBytes(Uint8Array.of(type >> 8, type & 255), bytes)),
      ]),
    ),
  ),
}

/** Packed by hand: some random bytes are operations. */
const ANY: ReadonlySet<string> = new Set(['operations'])

/** @returns what is wrong with how a reader took these bytes. */
function fault(name: string, read: Reader, bytes: Uint8Array): string | undefined {
  let result: Result<unknown> | 'ignored'
  try {
    result = read(bytes) as Result<unknown>
  } catch (error) {
    return `${name} threw ${error instanceof Error ? error.message : error}`
  }
  if (result.ok) return result.value === 'ignored' || ANY.has(name) ? undefined : `${name} took it`
  const { code, detail = '' } = result.error
  if (!Object.hasOwn(ERRORS, code)) return `${name}: no code ${code}`
  return detail.length <= 100 && /^[\x20-\x7e]*$/.test(detail) ? undefined : `${name}: detail ${detail}`
}

const faults = (bytes: Uint8Array): string[] =>
  Object.entries(READERS).flatMap(([name, read]) => fault(name, read, bytes) ?? [])

const head = (major: number, length: bigint): Uint8Array => {
  const out = new Uint8Array(9)
  out[0] = (major << 5) | 27
  new DataView(out.buffer).setBigUint64(1, length)
  return out
}
const times = (count: number, ...bytes: number[]): Uint8Array =>
  Uint8Array.from({ length: count * bytes.length }, (_, i) => bytes[i % bytes.length]!)

/** Small things that say they are huge, deep things, numbers of a million digits, names twice. */
const BOMBS: Readonly<Record<string, Uint8Array>> = {
  nothing: new Uint8Array(0),
  'arrays in arrays': times(65_000, 0x81),
  'maps in maps': times(30_000, 0xa1, 0x00),
  'maps as keys': times(65_000, 0xa1),
  'arrays without end': times(65_000, 0x9f),
  'strings without end': times(65_000, 0x5f),
  'an array of 2^63': head(4, 2n ** 63n),
  'a map of 2^64 - 1': head(5, 2n ** 64n - 1n),
  'bytes of 2^63': concatBytes(head(2, 2n ** 63n), new Uint8Array(64)),
  'a text of 2^53': head(3, 2n ** 53n),
  'a number of a million digits': concatBytes(Uint8Array.of(0xc2), head(2, 60_000n), times(60_000, 0xff)),
  'tags in tags': times(65_000, 0xc1),
  '60,000 empty arrays': concatBytes(Uint8Array.of(0x99, 0xea, 0x60), times(60_000, 0x80)),
  'a name twice': Uint8Array.of(0xa2, 0x61, 0x61, 0x01, 0x61, 0x61, 0x02),
  __proto__: cbor({ ['__proto__' as string]: 1, version: 1 }),
  'an own __proto__': Uint8Array.of(0xa1, 0x69, ...utf8('__proto__'), 0xa1, 0x61, 0x78, 0x01),
  'half a surrogate': Uint8Array.of(0x63, 0xed, 0xa0, 0x80),
  'not a number': Uint8Array.of(0xf9, 0x7e, 0x00),
  'a float': encode(0.5),
  undefined: Uint8Array.of(0xf7),
  'a longer head than needed': Uint8Array.of(0x18, 0x01),
}

t.test('bombs at every door', (t) => {
  const before = heap()
  for (const [name, bytes] of Object.entries(BOMBS)) t.same(faults(bytes), [], name)
  t.ok(heap() - before < 16 * 1_048_576, 'nothing of them is kept')
  t.equal(({} as { x?: number }).x, undefined)
  t.end()
})

const zLeaf = fc.oneof(
  fc.maxSafeInteger(),
  fc.boolean(),
  fc.constant(null),
  fc.string({ maxLength: 12 }),
  fc.uint8Array({ maxLength: 70 }),
  fc.constantFrom(new Uint8Array(8), new Uint8Array(32), carol.account, new Uint8Array(64), 'x'.repeat(300)),
)
const zKeys = fc.constantFrom(
  'version',
  'amount',
  'channel',
  'attempt',
  '__proto__',
  'constructor',
  'limits',
  'code',
  'x',
)
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 6, withCrossShrink: false },
    zLeaf,
    fc.array(tie('tree'), { maxLength: 6 }),
    fc.dictionary(zKeys, tie('tree'), { maxKeys: 6, noNullPrototype: true }),
  ),
}))

t.test('well-formed CBOR of wrong types and shapes; and any bytes', (t) => {
  const clean = (bytes: Uint8Array): boolean => {
    const found = faults(bytes)
    if (found.length > 0) t.comment(found.slice(0, 3).join('; '))
    return found.length === 0
  }
  fc.assert(
    fc.property(tree, (value) => clean(cbor(value))),
    { seed: SEED, numRuns: 250 },
  )
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), clean), { seed: SEED, numRuns: 250 })
  t.end()
})

t.test('invoices as text: whatever is typed, pasted or cut', (t) => {
  const text = formatInvoice(invoiceOf())
  const zText = fc.oneof(
    fc.string({ maxLength: 200, unit: 'binary' }),
    fc
      .tuple(fc.nat(text.length), fc.string({ maxLength: 5, unit: 'binary' }))
      .map(([at, more]) => text.slice(0, at) + more + text.slice(at + 1)),
    fc.nat(text.length - 1).map((at) => text.slice(0, at)),
    fc.constantFrom(`${text}${text}`, text.toUpperCase().slice(1), ` ${text}`, `mrd1${'q'.repeat(4_000)}`),
  )
  const property = fc.property(zText, (given) => {
    if (given === text) return true
    const read = parseInvoice(given)
    return !read.ok && read.error.code in ERRORS && (read.error.detail ?? '').length < 100
  })
  fc.assert(property, { seed: SEED, numRuns: 400 })
  t.end()
})

/** What the parser makes of a text: its value, or undefined where it refuses. */
function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: parseJson(text) }
  } catch (error) {
    if (!(error instanceof MeridianError) || error.code !== 'bad_request') throw error
    if ((error.detail ?? '').length > 100) throw new Error('a detail that quotes')
    return undefined
  }
}

t.test('JSON: what JSON.parse takes is taken, and what two readers would read in two ways is not', (t) => {
  const same = fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(undefined, 1), (value, space) => {
    const text = JSON.stringify(value, null, space)
    if (/"(__proto__|constructor|prototype)":/.test(text)) return parsed(text) === undefined
    const read = parsed(text)
    return read !== undefined && JSON.stringify(read.value) === JSON.stringify(JSON.parse(text))
  })
  fc.assert(same, { seed: SEED, numRuns: 300 })
  const mutant = fc.property(fc.json(), fc.nat(), fc.string({ maxLength: 3 }), (text, at, more) => {
    const cut = at % (text.length + 1)
    const changed = text.slice(0, cut) + more + text.slice(cut + 1)
    const read = parsed(changed)
    return read === undefined || JSON.stringify(read.value) === JSON.stringify(JSON.parse(changed))
  })
  fc.assert(mutant, { seed: SEED, numRuns: 500 })

  const before = heap()
  const million = '9'.repeat(1_000_000)
  const refused = {
    'a number of a million digits': `{"a":${million}}`,
    'a fraction of a million digits': `{"a":0.${million}}`,
    'an exponent of a million digits': `{"a":1e${million}}`,
    'arrays in arrays': '['.repeat(1_000_000),
    'objects in objects': '{"a":'.repeat(200_000),
    'closed, but deep': `${'['.repeat(LIMITS.api_json_depth + 2)}${']'.repeat(LIMITS.api_json_depth + 2)}`,
    'a name twice': '{"a":1,"b":2,"a":3}',
    'a name twice, once escaped': '{"a":1,"\\u0061":3}',
    __proto__: '{"__proto__":{"x":1}}',
    'an escaped __proto__': '{"\\u005f_proto__":{"x":1}}',
    constructor: '{"a":{"constructor":{}}}',
    'a text without its end': `{"a":"${'x'.repeat(1_000_000)}`,
    'backslashes without end': `"${'\\'.repeat(999_999)}`,
    'a control character': '"\u0000"',
    'two values': '1 2',
    'a comma too much': '[1,]',
    'a leading zero': '01',
    'no number': 'NaN',
    'a mark before it': '\ufeff{}',
    spaces: ' '.repeat(1_000_000),
  }
  for (const [name, text] of Object.entries(refused)) t.equal(parsed(text), undefined, name)
  t.same(
    parsed(`"${'x'.repeat(60_000)}"`),
    { value: 'x'.repeat(60_000) },
    'long texts are the limit of the body’s business',
  )
  t.ok(heap() - before < 16 * 1_048_576, 'nothing of them is kept')
  t.equal(({} as { x?: number }).x, undefined)
  t.end()
})
