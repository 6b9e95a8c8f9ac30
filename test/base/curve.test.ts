/** The curve backends under one suite (P8), and the canonical codec (W2, L10). */
import { encode, rfc8949EncodeOptions } from 'cborg'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { z } from 'zod'
import { bigintToBytes, bytesToBigint, bytesToHex, concatBytes, type Digest, hexToBytes } from '../../src/base/bytes.js'
import {
  cbor,
  cborCanonical,
  decodeAs,
  encodeAs,
  zAmount,
  zBytes,
  zCount,
  zPoint,
  zText,
} from '../../src/base/codec.js'
import {
  type CurveBackend,
  G,
  loadNative,
  narrow,
  noble,
  type Point,
  parseScalar,
  parseSignature,
  q,
  type Scalar,
  scalarAdd,
  scalarFromBigint,
  scalarSubtract,
  scalarToBigint,
  subtractElements,
  sumElements,
} from '../../src/base/curve/index.js'
import { prfScalar, sha256, taggedHash } from '../../src/base/digest.js'
import { LIMITS } from '../../src/base/limits.js'

const p = 2n ** 256n - 2n ** 32n - 977n
const scalar = (value: bigint): Scalar => scalarFromBigint(value)!
const random = (label: string): Scalar => prfScalar(new Uint8Array(32), label)
const digest = (label: string): Digest => taggedHash(label)
const x32 = (value: bigint): Uint8Array => bigintToBytes(value, 32)
const hex = (value: Uint8Array | null): string | null => (value === null ? null : bytesToHex(value))

const native = loadNative()
const backends: CurveBackend[] = native === undefined ? [noble] : [native, noble]

// SEC 2 and the well-known multiples of G.
const G_HEX = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'
const TWO_G_HEX = '02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5'

function groupSuite(t: Test, curve: CurveBackend): void {
  const [a, b] = [random('a'), random('b')]
  const [A, B] = [curve.multiplyBase(a), curve.multiplyBase(b)]
  const one = scalar(1n)
  const minusOne = scalar(-1n)
  t.equal(hex(curve.multiplyBase(one)), G_HEX)
  t.equal(hex(curve.sum([G, G])), TWO_G_HEX)
  t.equal(hex(curve.multiply(G, scalar(2n))), TWO_G_HEX)
  t.equal(hex(curve.addBase(G, one)), TWO_G_HEX)
  t.same(curve.multiply(A, one), A)
  t.same(curve.multiply(A, minusOne), curve.negate(A))
  t.same(curve.multiplyBase(minusOne), curve.negate(G))
  t.same(curve.sum([A, B]), curve.multiplyBase(scalarAdd(a, b)!))
  t.same(curve.sum([A]), A)
  t.same(curve.sum([A, B, curve.negate(A)]), B, 'a sum that passes through infinity')
  t.same(curve.sum([A, curve.negate(A), B]), B)
  t.same(curve.multiply(A, b), curve.multiply(B, a))
  t.same(curve.addBase(A, b), curve.sum([A, B]))
  t.equal(curve.sum([]), null)
  t.equal(curve.sum([A, curve.negate(A)]), null, 'a sum can be infinity')
  t.equal(curve.addBase(A, scalar(-scalarToBigint(a))), null)

  // Uncompressed points: the same group.
  const [wideA, wideB, opposite] = [curve.widen(A)!, curve.multiplyBaseWide(b), curve.widen(curve.negate(A))!]
  t.same([wideA, wideB, opposite].map(narrow), [A, B, curve.negate(A)])
  t.same(curve.sumWide([wideA, wideB]), curve.widen(curve.sum([A, B])!))
  t.same([curve.sumWide([wideA, opposite]), curve.sumWide([])], [null, null])
  t.same([curve.widen(wideA), curve.widen(A.with(0, 4))], [undefined, undefined])

  // P5's step of a ring: e*P + s*G.
  const [e, s] = [random('e'), random('s')]
  t.same(curve.multiplyAdd(A, e, s), curve.sum([curve.multiply(A, e), curve.multiplyBase(s)]))
  t.same(
    curve.multiplyAdd(curve.negate(A), e, s),
    curve.sum([curve.multiply(curve.negate(A), e), curve.multiplyBase(s)]),
  )
  t.same(curve.multiplyAdd(G, one, one), curve.sum([G, G]))
  t.same(curve.multiplyAdd(G, minusOne, scalar(3n)), curve.sum([G, G]))
  t.equal(curve.multiplyAdd(A, e, scalar(-scalarToBigint(e) * scalarToBigint(a))), null, 'e*P + s*G can be infinity')
  for (const extreme of [1n, 2n, q - 2n, q - 1n].map(scalar)) {
    t.same(curve.multiplyAdd(A, extreme, s), curve.sum([curve.multiply(A, extreme), curve.multiplyBase(s)]))
    t.same(curve.multiplyAdd(A, e, extreme), curve.sum([curve.multiply(A, e), curve.multiplyBase(extreme)]))
  }
  const large = pointAbove(curve, q)
  t.same(
    curve.multiplyAdd(large, e, s),
    curve.sum([curve.multiply(large, e), curve.multiplyBase(s)]),
    'an x between q and p is no smaller a point than others',
  )
}

/** A point whose x is at least `from`: those between q and p are few and no x of theirs is a scalar. */
function pointAbove(curve: CurveBackend, from: bigint): Point {
  for (let x = from; ; x++) {
    const candidate = concatBytes(Uint8Array.of(3), x32(x))
    if (curve.isPoint(candidate)) return candidate as Point
  }
}

function encodingSuite(t: Test, curve: CurveBackend): void {
  const y = 0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8n
  const gx = hexToBytes(G_HEX).slice(1)
  const bad: Record<string, Uint8Array> = {
    empty: new Uint8Array(0),
    'infinity of SEC 1': Uint8Array.of(0),
    'infinity, padded': new Uint8Array(33),
    uncompressed: concatBytes(Uint8Array.of(4), gx, x32(y)),
    'hybrid, even': concatBytes(Uint8Array.of(6), gx, x32(y)),
    'hybrid, odd': concatBytes(Uint8Array.of(7), gx, x32(y)),
    'x only': gx,
    'prefix 00': concatBytes(Uint8Array.of(0), gx),
    'prefix 01': concatBytes(Uint8Array.of(1), gx),
    'prefix 04, compressed length': concatBytes(Uint8Array.of(4), gx),
    'prefix 06, compressed length': concatBytes(Uint8Array.of(6), gx),
    'one byte short': hexToBytes(G_HEX).slice(0, 32),
    'one byte long': concatBytes(hexToBytes(G_HEX), Uint8Array.of(0)),
    'x = p + 1, not reduced': concatBytes(Uint8Array.of(2), x32(p + 1n)),
    'x = p': concatBytes(Uint8Array.of(2), x32(p)),
    'x = 2^256 - 1': new Uint8Array(33).fill(255).with(0, 2),
    'x of no point (5)': concatBytes(Uint8Array.of(2), x32(5n)),
    'x = 0': concatBytes(Uint8Array.of(2), x32(0n)),
  }
  for (const [name, bytes] of Object.entries(bad)) t.notOk(curve.isPoint(bytes), name)
  t.ok(curve.isPoint(hexToBytes(G_HEX)))
  t.ok(curve.isPoint(concatBytes(Uint8Array.of(2), x32(1n))), 'x = 1 is on the curve: p + 1 is refused as p + 1')
  t.ok(curve.isPoint(concatBytes(Uint8Array.of(3), gx)))
  t.ok(curve.isPoint(Buffer.from(hexToBytes(G_HEX))), 'a Buffer is bytes as well')
}

function signatureSuite(t: Test, curve: CurveBackend): void {
  const key = random('key')
  const publicKey = curve.multiplyBase(key)
  const message = digest('message')
  const signature = curve.sign(message, key)
  t.ok(curve.verify(message, signature, publicKey))
  t.same(curve.sign(message, key), signature, 'RFC 6979: no randomness')
  const r = bytesToBigint(signature.slice(0, 32))
  const s = bytesToBigint(signature.slice(32))
  t.ok(s <= q / 2n, 'low s')
  const made = (r: bigint, s: bigint): Uint8Array => concatBytes(x32(r), x32(s))
  const bad: Record<string, Uint8Array> = {
    'high s': made(r, q - s),
    'r = 0': made(0n, s),
    's = 0': made(r, 0n),
    'both 0': made(0n, 0n),
    'r = q': made(q, s),
    's = q': made(r, q),
    's + q': made(r, s + q > 2n ** 256n - 1n ? 2n ** 256n - 1n : s + q),
    'r above q': made(2n ** 256n - 1n, s),
    'swapped halves': made(s, r),
    'one bit': signature.map((byte, i) => (i === 40 ? byte ^ 1 : byte)),
    short: signature.slice(0, 63),
    long: concatBytes(signature, Uint8Array.of(0)),
    empty: new Uint8Array(0),
  }
  for (const [name, bytes] of Object.entries(bad)) t.notOk(curve.verify(message, bytes, publicKey), name)
  t.notOk(curve.verify(digest('other'), signature, publicKey))
  t.notOk(curve.verify(message, signature, curve.negate(publicKey)))
  for (let i = 0; i < 8; i++) {
    const each = curve.sign(digest(`${i}`), key)
    t.ok(curve.verify(digest(`${i}`), each, publicKey) && bytesToBigint(each.slice(32)) <= q / 2n)
  }
}

for (const curve of backends) {
  t.test(`${curve.name}: group`, async (t) => groupSuite(t, curve))
  t.test(`${curve.name}: encodings of points`, async (t) => encodingSuite(t, curve))
  t.test(`${curve.name}: signatures`, async (t) => signatureSuite(t, curve))
  t.test(`${curve.name}: ECDH is SHA-256 of the compressed shared point`, async (t) => {
    const [a, b] = [random('a'), random('b')]
    const shared = curve.ecdh(curve.multiplyBase(b), a)
    t.same(shared, curve.ecdh(curve.multiplyBase(a), b))
    t.same(shared, sha256(curve.multiply(curve.multiplyBase(a), b)))
  })
}

t.test('both backends give the same bytes', { skip: native === undefined && 'no native binding here' }, async (t) => {
  const other = native!
  const anyScalar = fc.oneof(
    fc.constantFrom(1n, 2n, q - 1n, q - 2n, q / 2n, q / 2n + 1n),
    fc.bigInt({ min: 1n, max: q - 1n }),
  )
  fc.assert(
    fc.property(anyScalar, anyScalar, anyScalar, (a, b, c) => {
      const [x, y, k] = [scalar(a), scalar(b), scalar(c)]
      const [P, Q] = [noble.multiplyBase(x), noble.multiplyBase(y)]
      t.same(other.multiplyBase(x), P)
      t.same(other.multiplyBaseWide(x), noble.widen(P))
      t.same(other.widen(Q), noble.multiplyBaseWide(y))
      t.equal(hex(other.sum([P, Q, P])), hex(noble.sum([P, Q, P])))
      t.equal(hex(other.sum([P, noble.negate(Q)])), hex(noble.sum([P, noble.negate(Q)])))
      t.same(other.multiply(P, k), noble.multiply(P, k))
      t.equal(hex(other.addBase(P, k)), hex(noble.addBase(P, k)))
      t.equal(hex(other.multiplyAdd(P, k, y)), hex(noble.multiplyAdd(P, k, y)))
      t.same(other.negate(P), noble.negate(P))
      t.same(other.ecdh(P, k), noble.ecdh(P, k))
      const message = sha256(P)
      t.same(other.sign(message, k), noble.sign(message, k))
      t.ok(noble.verify(message, other.sign(message, x), P) && other.verify(message, noble.sign(message, x), P))
    }),
    { numRuns: 25 },
  )
  fc.assert(
    fc.property(fc.constantFrom(0, 2, 3, 4, 5, 6, 7), fc.uint8Array({ minLength: 32, maxLength: 32 }), (prefix, x) => {
      const bytes = concatBytes(Uint8Array.of(prefix), x)
      t.equal(other.isPoint(bytes), noble.isPoint(bytes))
    }),
    { numRuns: 100 },
  )
})

t.test('scalars are canonical and never zero', async (t) => {
  for (const value of [0n, q, q + 1n, 2n ** 256n - 1n]) t.notOk(parseScalar(x32(value)).ok)
  for (const value of [1n, q - 1n]) t.ok(parseScalar(x32(value)).ok)
  t.notOk(parseScalar(new Uint8Array(31).fill(1)).ok)
  t.notOk(parseScalar(new Uint8Array(33).fill(1)).ok)
  for (const zero of [0n, q, -q]) t.equal(scalarFromBigint(zero), undefined)
  t.equal(scalarAdd(scalar(1n), scalar(-1n)), undefined)
  t.equal(scalarSubtract(scalar(5n), scalar(5n)), undefined)
  t.equal(scalarToBigint(scalar(-1n)), q - 1n)
  t.notOk(parseSignature(new Uint8Array(63)).ok)
})

t.test('elements: infinity is neutral', async (t) => {
  const minusG = noble.negate(G)
  t.equal(sumElements([]), null)
  t.equal(sumElements([null, null]), null)
  t.same(sumElements([null, G, null]), G)
  t.equal(sumElements([G, null, minusG]), null)
  t.same(subtractElements(null, G), minusG)
  t.equal(subtractElements(G, G), null)
  t.equal(subtractElements(null, null), null)
})

const refused = (t: Test, hexText: string, name: string): void => {
  const result = cborCanonical(hexToBytes(hexText.replaceAll(' ', '')))
  t.match(result, { ok: false, error: { code: 'bad_encoding' } }, name)
}

t.test('codec: what is not deterministic CBOR of plain data is refused', async (t) => {
  const cases: Record<string, string> = {
    empty: '',
    'two items': '01 02',
    'trailing byte': 'a0 00',
    truncated: '82 01',
    'truncated byte string': '43 01 02',
    'claimed length beyond the input': '5b ff ff ff ff ff ff ff ff',
    'claimed array of 2^32': '9a ff ff ff ff',
    'claimed map of 2^64': 'bb ff ff ff ff ff ff ff ff',
    'integer in two bytes': '18 17',
    'integer in three bytes': '19 00 ff',
    'negative integer in two bytes': '38 00',
    'length in two bytes': '58 01 00',
    'map head in two bytes': 'b8 00',
    'duplicate keys': 'a2 61 61 01 61 61 02',
    'duplicate keys, same value': 'a2 61 61 01 61 61 01',
    'keys out of order': 'a2 61 62 01 61 61 02',
    'longer key first': 'a2 62 61 61 01 61 62 02',
    'indefinite bytes': '5f 41 01 ff',
    'indefinite text': '7f 61 61 ff',
    'indefinite array': '9f 01 ff',
    'indefinite map': 'bf 61 61 01 ff',
    'lone break': 'ff',
    'tagged date': 'c0 60',
    'tagged bignum': 'c2 41 01',
    'self-described': 'd9 d9 f7 a0',
    undefined: 'f7',
    'simple value 16': 'f0',
    'simple value 32': 'f8 20',
    'half float 1.5': 'f9 3e 00',
    'single float 1.5': 'fa 3f c0 00 00',
    'double float 1.0, an integer': 'fb 3f f0 00 00 00 00 00 00',
    NaN: 'f9 7e 00',
    infinity: 'f9 7c 00',
    'minus zero': 'f9 80 00',
    'invalid UTF-8': '61 ff',
    'reserved head 28': '1c',
    'reserved head 31 of an integer': '1f',
    'nine arrays deep': '81 81 81 81 81 81 81 81 81 00',
    'integer key': 'a1 01 02',
    'byte string key': 'a1 41 61 02',
  }
  for (const [name, text] of Object.entries(cases)) refused(t, text, name)
  const deep = new Uint8Array(100_000).fill(0x81)
  t.notOk(cborCanonical(deep).ok, 'a hundred thousand levels do not touch the stack')
  t.ok(cborCanonical(hexToBytes(`${'81'.repeat(LIMITS.cbor_depth)}00`)).ok)
})

const zExample = z.strictObject({
  name: zText(8),
  amount: zAmount,
  count: zCount,
  point: zPoint,
  parts: z.array(zBytes(2)).max(3),
  maybe: zBytes(1).nullable(),
})
const example = zExample.parse({
  name: 'alice',
  amount: bigintToBytes(5n, 8),
  count: 7,
  point: G,
  parts: [Uint8Array.of(1, 2)],
  maybe: null,
})

t.test('codec: a schema reads only its own shape', async (t) => {
  const bytes = encodeAs(zExample, example)
  t.same(decodeAs(zExample, bytes), { ok: true, value: example })
  const plain = { name: 'alice', amount: new Uint8Array(8), count: 7, point: G, parts: [], maybe: null }
  const field = (patch: Record<string, unknown>) =>
    decodeAs(zExample, encode({ ...plain, ...patch }, rfc8949EncodeOptions))
  t.ok(field({}).ok)
  const wrong: Record<string, Record<string, unknown>> = {
    'an unknown field': { more: 1 },
    'long text': { name: 'alice and bob' },
    'a short amount': { amount: new Uint8Array(7) },
    'an amount as a number': { amount: 5 },
    'a negative count': { count: -1 },
    'a count above 2^53': { count: 2n ** 53n },
    'a count that is a fraction': { count: 1.5 },
    'infinity for a point': { point: new Uint8Array(33) },
    'an uncompressed point': { point: new Uint8Array(65).fill(4) },
    'too many parts': { parts: Array.from({ length: 4 }, () => new Uint8Array(2)) },
    'a part too long': { parts: [new Uint8Array(3)] },
    'an object for an array': { parts: { 0: new Uint8Array(2) } },
    'an absent value': { maybe: 0 },
  }
  for (const [name, patch] of Object.entries(wrong)) {
    const result = field(patch)
    t.notOk(result.ok, name)
    if (!result.ok) t.equal(result.error.code, 'bad_encoding')
  }
  const { maybe: _, ...absent } = plain
  t.notOk(decodeAs(zExample, cbor(absent)).ok, 'a missing field')
  t.notOk(decodeAs(zExample, cbor([plain])).ok)
  const peer = field({ name: 'secret-peer-bytes' })
  t.notMatch(JSON.stringify(peer), /secret/, 'a refusal quotes no value')
})

t.test('codec: __proto__ and its kind are keys like any other, and unknown', async (t) => {
  for (const key of ['__proto__', 'constructor', 'prototype', 'toString']) {
    const text = new TextEncoder().encode(key)
    const map = concatBytes(Uint8Array.of(0xa1, 0x60 + text.length), text, hexToBytes('a1616101'))
    t.notOk(decodeAs(z.strictObject({}), map).ok, key)
    const nested = concatBytes(hexToBytes('a16161'), map)
    t.notOk(decodeAs(z.strictObject({ a: z.strictObject({}) }), nested).ok, `${key}, nested`)
  }
  t.equal(({} as Record<string, unknown>)['a'], undefined, 'no prototype was polluted')
})

t.test('codec: whatever decodes re-encodes to the same bytes (W2)', async (t) => {
  const bytes = encodeAs(zExample, example)
  let accepted = 0
  const check = (mutant: Uint8Array): void => {
    const plain = cborCanonical(mutant)
    if (plain.ok) t.same(cbor(plain.value), mutant)
    const result = decodeAs(zExample, mutant)
    if (!result.ok) return
    accepted++
    t.same(encodeAs(zExample, result.value), mutant)
  }
  fc.assert(
    fc.property(
      fc.nat(bytes.length - 1),
      fc.nat(255),
      fc.constantFrom('set', 'insert', 'delete', 'cut'),
      (at, byte, how) => {
        if (how === 'set') check(bytes.with(at, byte))
        else if (how === 'insert') check(concatBytes(bytes.slice(0, at), Uint8Array.of(byte), bytes.slice(at)))
        else if (how === 'delete') check(concatBytes(bytes.slice(0, at), bytes.slice(at + 1)))
        else check(bytes.slice(0, at))
      },
    ),
    { numRuns: 2000 },
  )
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), check), { numRuns: 2000 })
  t.ok(accepted > 0, 'some mutants are other messages')
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const encoded = encode(value)
      const result = cborCanonical(encoded)
      if (result.ok) t.same(cbor(result.value), encoded)
    }),
    { numRuns: 300 },
  )
})
