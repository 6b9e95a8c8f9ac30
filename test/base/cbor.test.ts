/** Our CBOR beside cborg: the same bytes, and of all others none is read. */
import { decode, encode, rfc8949EncodeOptions } from 'cborg'
import fc from 'fast-check'
import t from 'tap'
import { equalBytes, hexToBytes } from '../../src/base/bytes.js'
import { decodeCbor, encodeCbor } from '../../src/base/cbor.js'

const DEPTH = 8

const reference = (value: unknown): Uint8Array => encode(value, rfc8949EncodeOptions)

/** By decoding with cborg and encoding again. */
function canonicalByReference(bytes: Uint8Array): boolean {
  try {
    const strict = { strict: true, allowIndefinite: false, allowUndefined: false, rejectDuplicateMapKeys: true }
    const value = decode(bytes, strict)
    return isOurs(value, 0) && equalBytes(reference(value), bytes)
  } catch {
    return false // cborg's only way to refuse
  }
}

function isOurs(value: unknown, depth: number): boolean {
  if (typeof value === 'number') return Number.isSafeInteger(value)
  if (typeof value !== 'object' || value === null) return typeof value !== 'bigint'
  if (value instanceof Uint8Array) return true
  const within = Object.values(value)
  return (within.length === 0 || depth < DEPTH) && within.every((item) => isOurs(item, depth + 1))
}

const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.maxSafeInteger(),
    fc.integer({ min: -300, max: 300 }),
    fc.uint8Array({ maxLength: 40 }),
    fc.string({ unit: 'grapheme', maxLength: 30 }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.dictionary(
      fc.string({ unit: 'grapheme', maxLength: 40 }).filter((key) => key !== '__proto__'),
      tie('tree'),
    ),
  ),
}))

t.test('one encoding per value: that of RFC 8949 §4.2', async (t) => {
  fc.assert(
    fc.property(tree, (value) => {
      const bytes = encodeCbor(value)
      const read = decodeCbor(bytes, 64)
      return equalBytes(bytes, reference(value)) && read.ok && equalBytes(encodeCbor(read.value), bytes)
    }),
    { numRuns: 300 },
  )
  for (const edge of [0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    for (const value of [edge, -1 - edge]) {
      if (!Number.isSafeInteger(value)) continue
      t.strictSame(encodeCbor(value), Uint8Array.from(reference(value)), `${value}`)
      t.same(decodeCbor(encodeCbor(value), DEPTH), { ok: true, value })
    }
  }
  t.strictSame(decodeCbor(encodeCbor({ b: [1], a: { '\0': '', '': 'é' } }), DEPTH), {
    ok: true,
    value: { a: { '': 'é', '\0': '' }, b: [1] },
  })
  for (const pair of [
    { 'a\0b': 1, c: 2 },
    { a: 1, 'b\0c': 2 },
    { a: 1, b: 2, c: 3 },
  ]) {
    t.strictSame(encodeCbor(pair), Uint8Array.from(reference(pair)), 'shapes that join alike')
  }
  for (const value of [1.5, Number.NaN, 2 ** 53, 1n, () => 1]) t.throws(() => encodeCbor(value), TypeError)
})

t.test('whatever is changed, what is read is what encodes to it', async (t) => {
  const cut = fc.tuple(tree, fc.nat(), fc.nat(255), fc.nat(3))
  let read = 0
  fc.assert(
    fc.property(cut, ([value, place, byte, how]) => {
      const bytes = Array.from(encodeCbor(value))
      const index = place % bytes.length
      if (how === 0) bytes[index] = byte
      else if (how === 1) bytes.splice(index, 1)
      else if (how === 2) bytes.splice(index, 0, byte)
      else bytes.length = index
      const changed = Uint8Array.from(bytes)
      const { ok } = decodeCbor(changed, DEPTH)
      if (ok) read += 1
      return ok === canonicalByReference(changed)
    }),
    { numRuns: 2_000 },
  )
  t.ok(read > 100, 'some changes give another value')
})

t.test('what has no place in it is refused', async (t) => {
  const refused = {
    'an unsafe integer': '1b0020000000000000',
    'an unsafe negative': '3b001fffffffffffff',
    'a surrogate': '63eda080',
    'the key __proto__': 'a1695f5f70726f746f5f5f01',
    'more items than bytes': '9b001fffffffffffff',
    'more fields than bytes': 'ba0fffffff',
  }
  for (const [what, hex] of Object.entries(refused)) {
    t.match(decodeCbor(hexToBytes(hex), DEPTH), { ok: false, error: { code: 'bad_encoding' } }, what)
  }
})

t.test('what is read is a copy', async (t) => {
  const bytes = Buffer.from(encodeCbor({ a: Uint8Array.of(1, 2) }))
  const read = decodeCbor(bytes, DEPTH)
  bytes.fill(0xff)
  t.same(read, { ok: true, value: { a: Uint8Array.of(1, 2) } })
  if (read.ok) t.equal((read.value as { a: Uint8Array }).a.constructor, Uint8Array)
})
