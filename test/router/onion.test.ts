/** R2: BOLT 4's packet and return packet; vectors of lightning/bolts, bolt04/onion-test.json and onion-error-test.json. */

import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { bytesToHex, concatBytes, equalBytes, hexToBytes, utf8 } from '../../src/base/bytes.js'
import { curve, type Point, type Scalar } from '../../src/base/curve/index.js'
import { hmac, prfBytes, prfScalar, sha256 } from '../../src/base/digest.js'
import { ROOT } from '../../src/base/root.js'
import { generateKey, routeSecrets, sessionKeyFrom, stream, xorInto } from '../../src/router/onion/crypto.js'
import {
  createFailure,
  FAILURE_BYTES,
  FAILURE_MESSAGE_BYTES,
  readFailure,
  wrapFailure,
} from '../../src/router/onion/failure.js'
import { buildOnion, ONION_BYTES, onionBinding, peelOnion } from '../../src/router/onion/packet.js'

const vector = (name: string) => JSON.parse(readFileSync(new URL(`test/vectors/${name}`, ROOT), 'utf8'))
const scalar = (hex: string) => hexToBytes(hex) as Scalar

interface OnionVector {
  generate: { session_key: string; associated_data: string; hops: { pubkey: string; payload: string }[] }
  onion: string
  decode: string[]
}

/** The vector's payloads carry their bigsize length; ours do not. */
const withoutLength = (payload: Uint8Array) => payload.slice(payload[0] === 0xfd ? 3 : 1)

t.test('BOLT 4 packet vector: built, and peeled hop by hop', (t) => {
  const { generate, onion, decode } = vector('bolt04-onion.json') as OnionVector
  const sessionKey = scalar(generate.session_key)
  const associatedData = hexToBytes(generate.associated_data)
  const accounts = generate.hops.map((hop) => hexToBytes(hop.pubkey) as Point)
  const hops = generate.hops.map((hop) => ({ payload: withoutLength(hexToBytes(hop.payload)), associatedData }))
  const built = buildOnion(sessionKey, routeSecrets(sessionKey, accounts), hops)
  t.ok(built.ok)
  if (!built.ok) return t.end()
  t.equal(bytesToHex(built.value), onion)
  let packet: Uint8Array | null = built.value
  for (const [i, key] of decode.entries()) {
    const peeled = peelOnion(packet!, scalar(key), associatedData)
    t.ok(peeled.ok, `hop ${i} opens it`)
    if (!peeled.ok) return t.end()
    t.same(peeled.value.payload, hops[i]!.payload)
    packet = peeled.value.next
    t.equal(packet === null, i === decode.length - 1)
  }
  t.end()
})

interface ErrorVector {
  generate: {
    session_key: string
    failure_message: string
    hops: { pubkey: string; hop_shared_secret: string; ammag_key: string; um_key?: string }[]
  }
  errorpacket: string
}

t.test('BOLT 4 failure vector: made by hop 4, wrapped by the others, read by the payer', (t) => {
  const { generate, errorpacket } = vector('bolt04-onion-error.json') as ErrorVector
  const accounts = generate.hops.map((hop) => hexToBytes(hop.pubkey) as Point)
  const secrets = routeSecrets(scalar(generate.session_key), accounts).map((hop) => hop.secret)
  for (const [i, hop] of generate.hops.entries()) {
    t.equal(bytesToHex(secrets[i]!), hop.hop_shared_secret)
    t.equal(bytesToHex(generateKey('ammag', secrets[i]!)), hop.ammag_key)
  }
  t.equal(bytesToHex(generateKey('um', secrets[4]!)), generate.hops[4]!.um_key)
  let packet = createFailure(secrets[4]!, hexToBytes(generate.failure_message))
  for (const secret of secrets.slice(0, 4).reverse()) packet = wrapFailure(secret, packet)
  t.equal(bytesToHex(packet), errorpacket)
  t.same(readFailure(secrets, packet, 20), { hop: 4, message: hexToBytes(generate.failure_message) })
  t.end()
})

const keyOf = (seed: number, i: number) => prfScalar(utf8(`seed ${seed}`), 'test-key', Uint8Array.of(i))

/** A route of `count` hops with payloads that leave room for all of them. */
function scenario(seed: number, count: number) {
  const keys = Array.from({ length: count }, (_, i) => keyOf(seed, i))
  const accounts = keys.map((key) => curve.multiplyBase(key))
  const sessionKey = sessionKeyFrom(sha256(utf8(`session ${seed}`)))
  const room = Math.floor(1300 / count) - 35
  const hops = keys.map((_, i) => ({
    payload: prfBytes(utf8(`payload ${seed}`), Math.max(2, (room * (i + 1)) / count) | 0, 'test', Uint8Array.of(i)),
    associatedData: onionBinding(sha256(utf8('ledger')), accounts[i]!),
  }))
  return { keys, accounts, sessionKey, secrets: routeSecrets(sessionKey, accounts), hops }
}

t.test('a packet of 1 to 20 hops: one size, every hop its payload, the last one knows it is last', (t) => {
  const property = fc.property(fc.nat(1_000_000), fc.integer({ min: 1, max: 20 }), (seed, count) => {
    const { keys, sessionKey, secrets, hops } = scenario(seed, count)
    const built = buildOnion(sessionKey, secrets, hops)
    if (!built.ok) return false
    let packet: Uint8Array | null = built.value
    const tags = new Set<string>()
    for (const [i, key] of keys.entries()) {
      if (packet === null || packet.length !== ONION_BYTES) return false
      const peeled = peelOnion(packet, key, hops[i]!.associatedData)
      if (!peeled.ok || !equalBytes(peeled.value.payload, hops[i]!.payload)) return false
      if (!equalBytes(peeled.value.secret, secrets[i]!.secret)) return false
      tags.add(bytesToHex(peeled.value.replayTag))
      const again = peelOnion(packet, key, hops[i]!.associatedData)
      if (!again.ok || !tags.has(bytesToHex(again.value.replayTag))) return false // a replay is recognised
      packet = peeled.value.next
    }
    return packet === null && tags.size === count
  })
  fc.assert(property, { numRuns: 40 })
  t.end()
})

t.test('a full packet fits to the byte, one more does not', (t) => {
  const { sessionKey, secrets, keys } = scenario(1, 1)
  const associatedData = new Uint8Array(0)
  const full = buildOnion(sessionKey, secrets, [{ payload: new Uint8Array(1300 - 35).fill(7), associatedData }])
  t.ok(full.ok)
  const peeled = peelOnion(full.ok ? full.value : new Uint8Array(), keys[0]!, associatedData)
  t.equal(peeled.ok && peeled.value.payload.length, 1265)
  const over = buildOnion(sessionKey, secrets, [{ payload: new Uint8Array(1300 - 34), associatedData }])
  t.match(over, { ok: false, error: { code: 'route_too_long' } })
  t.end()
})

t.test('a packet opens only for its node and its lock', (t) => {
  const { keys, sessionKey, secrets, hops, accounts } = scenario(2, 3)
  const built = buildOnion(sessionKey, secrets, hops)
  if (!built.ok) return t.fail(built.error.code)
  const unreadable = { ok: false, error: { code: 'onion_unreadable' } }
  t.match(peelOnion(built.value, keys[1]!, hops[0]!.associatedData), unreadable, 'another node')
  t.match(peelOnion(built.value, keys[0]!, hops[1]!.associatedData), unreadable, "another lock's point")
  const elsewhere = onionBinding(sha256(utf8('other ledger')), accounts[0]!)
  t.match(peelOnion(built.value, keys[0]!, elsewhere), unreadable, 'another ledger')
  t.match(peelOnion(built.value.slice(1), keys[0]!, hops[0]!.associatedData), unreadable, 'short')
  t.end()
})

t.test('2,000 mutants of a packet: each refused, none throws', (t) => {
  const { keys, sessionKey, secrets, hops } = scenario(3, 4)
  const built = buildOnion(sessionKey, secrets, hops)
  if (!built.ok) return t.fail(built.error.code)
  let refused = 0
  for (let i = 0; i < 2_000; i++) {
    const [a, b, c, d] = prfBytes(utf8('mutants'), 4, 'onion', Uint8Array.of(i >> 8, i & 255))
    const mutant = built.value.slice(0, i % 50 === 0 ? (a! * 256 + b!) % ONION_BYTES : ONION_BYTES)
    if (mutant.length > 0) mutant[(a! * 256 + b!) % mutant.length]! ^= (c! | 1) & 255
    if (i % 3 === 0 && mutant.length > 0) mutant[d! % mutant.length]! ^= 0x80
    if (equalBytes(mutant, built.value)) continue
    const peeled = peelOnion(mutant, keys[0]!, hops[0]!.associatedData)
    if (!peeled.ok && peeled.error.code === 'onion_unreadable') refused++
  }
  t.equal(refused, 2_000)
  t.end()
})

t.test('failures of every hop: one length, the payer alone reads and attributes them', (t) => {
  const property = fc.property(
    fc.nat(1_000_000),
    fc.integer({ min: 1, max: 20 }),
    fc.nat(19),
    fc.uint8Array({ maxLength: FAILURE_MESSAGE_BYTES }),
    (seed, count, at, message) => {
      const failing = at % count
      const secrets = scenario(seed, count).secrets.map((hop) => hop.secret)
      let packet = createFailure(secrets[failing]!, message)
      for (let hop = failing - 1; hop >= 0; hop--) {
        if (packet.length !== FAILURE_BYTES) return false
        // a forwarder, with its own secret alone, reads nothing of what it passes on
        if (readFailure([secrets[hop]!], packet, 1) !== undefined) return false
        packet = wrapFailure(secrets[hop]!, packet)
      }
      const read = readFailure(secrets, packet, 20)
      return read !== undefined && read.hop === failing && equalBytes(read.message, message)
    },
  )
  fc.assert(property, { numRuns: 60 })
  const secrets = scenario(4, 3).secrets.map((hop) => hop.secret)
  const packet = wrapFailure(secrets[0]!, createFailure(secrets[1]!, utf8('no')))
  for (let i = 0; i < FAILURE_BYTES; i++) {
    const altered = packet.slice()
    altered[i]! ^= 1
    if (readFailure(secrets, altered, 20) !== undefined) t.fail(`byte ${i} altered and still attributed`)
  }
  t.equal(readFailure(secrets, packet.slice(1), 20), undefined, 'wrong length')
  const twice = wrapFailure(secrets[0]!, createFailure(secrets[0]!, utf8('no')))
  t.equal(readFailure([secrets[0]!], twice, 20), undefined, 'a layer more than there are hops')
  t.end()
})

t.test('authenticated, but malformed: a payer that writes wrong lengths is refused', (t) => {
  const { keys, secrets } = scenario(5, 1)
  const { ephemeral, secret } = secrets[0]!
  const craft = (front: readonly number[]) => {
    const payloads = new Uint8Array(1300)
    payloads.set(front)
    xorInto(payloads, stream(generateKey('rho', secret), 1300))
    return concatBytes(Uint8Array.of(0), ephemeral, payloads, hmac(generateKey('mu', secret), payloads))
  }
  const none = new Uint8Array(0)
  t.ok(peelOnion(craft([2, 1, 1]), keys[0]!, none).ok, 'the control opens')
  const wrong = {
    zero: [0],
    one: [1, 7],
    long: [0xfe, 0, 0, 1, 0],
    unshortest: [0xfd, 0, 0xfc],
    beyond: [0xfd, 4, 0xf2],
  }
  for (const [name, front] of Object.entries(wrong)) {
    t.match(peelOnion(craft(front), keys[0]!, none), { ok: false, error: { code: 'onion_unreadable' } }, name)
  }
  t.ok(peelOnion(craft([0xfd, 4, 0xf1]), keys[0]!, none).ok, 'the longest that fits opens')
  t.end()
})
