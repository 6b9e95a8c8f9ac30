import { readFileSync } from 'node:fs'
import t from 'tap'
import { bytesToHex, hexToBytes, utf8 } from '../../src/base/bytes.js'
import { parseScalar, type Scalar } from '../../src/base/curve/index.js'
import { parseAccountId } from '../../src/base/ids.js'
import { ROOT } from '../../src/base/root.js'
import { open, sealInto } from '../../src/wire/aead.js'
import { Decryptor, Encryptor, startInitiator, startResponder, type Transport } from '../../src/wire/noise.js'

interface HandshakeVector {
  name: string
  rs_pub?: string
  ls_priv: string
  ls_pub: string
  e_priv: string
  steps: ['input' | 'output', string][]
  keys?: { sk: string; rk: string }
  error?: string
}

const vectors = JSON.parse(readFileSync(new URL('test/vectors/bolt8.json', ROOT), 'utf8')) as {
  handshakes: HandshakeVector[]
  messages: { ck: string; sk: string; rk: string; outputs: Record<string, string> }
}

function scalar(hex: string): Scalar {
  const parsed = parseScalar(hexToBytes(hex))
  if (!parsed.ok) throw new Error('vector')
  return parsed.value
}

function account(hex: string) {
  const parsed = parseAccountId(hex)
  if (!parsed.ok) throw new Error('vector')
  return parsed.value
}

/** Runs a vector: what was written, how it ended. */
function run(vector: HandshakeVector): {
  outputs: string[]
  error?: string | undefined
  transport?: Transport
  remote?: string
} {
  const inputs = vector.steps.filter(([kind]) => kind === 'input').map(([, hex]) => hexToBytes(hex))
  const local = scalar(vector.ls_priv)
  const ephemeral = scalar(vector.e_priv)
  if (vector.rs_pub !== undefined) {
    const initiator = startInitiator(local, account(vector.rs_pub), ephemeral)
    const outputs = [bytesToHex(initiator.actOne)]
    const finished = initiator.finish(inputs[0]!)
    if (!finished.ok) return { outputs, error: finished.error.detail }
    return { outputs: [...outputs, bytesToHex(finished.value.actThree)], transport: finished.value.transport }
  }
  const responder = startResponder(local, ephemeral, inputs[0]!)
  if (!responder.ok) return { outputs: [], error: responder.error.detail }
  const outputs = [bytesToHex(responder.value.actTwo)]
  const finished = responder.value.finish(inputs[1]!)
  if (!finished.ok) return { outputs, error: finished.error.detail }
  return { outputs, transport: finished.value.transport, remote: bytesToHex(finished.value.remote) }
}

t.test('BOLT 8 Appendix A: handshakes', async (t) => {
  t.equal(vectors.handshakes.length, 15)
  for (const vector of vectors.handshakes) {
    const result = run(vector)
    const outputs = vector.steps.filter(([kind]) => kind === 'output').map(([, hex]) => hex)
    t.strictSame(result.outputs, outputs, vector.name)
    t.equal(result.error, vector.error, `${vector.name}: error`)
    if (vector.keys === undefined) continue
    // The keys are shown by what they encrypt and open.
    const chaining = hexToBytes(vectors.messages.ck)
    const expected = new Encryptor(chaining, hexToBytes(vector.keys.sk)).encrypt(utf8('hello'))
    t.strictSame(result.transport!.sender.encrypt(utf8('hello')), expected, `${vector.name}: sk`)
    const incoming = new Encryptor(chaining, hexToBytes(vector.keys.rk)).encrypt(utf8('hello'))
    t.strictSame(result.transport!.receiver.decrypt(incoming), { ok: true, value: utf8('hello') })
    if (vector.rs_pub === undefined) t.match(result.remote, /^034f355bdcb7cc0af7/, 'the initiator is known')
  }
})

t.test('BOLT 8 Appendix A: 1002 messages, two key rotations, both directions of the cipher', async (t) => {
  const { ck, sk, outputs } = vectors.messages
  const encryptor = new Encryptor(hexToBytes(ck), hexToBytes(sk))
  const decryptor = new Decryptor(hexToBytes(ck), hexToBytes(sk))
  let compared = 0
  for (let i = 0; i <= 1001; i++) {
    const frame = encryptor.encrypt(utf8('hello'))
    const expected = outputs[String(i)]
    if (expected !== undefined) {
      t.equal(bytesToHex(frame), expected, `output ${i}`)
      compared += 1
    }
    const message = decryptor.decrypt(frame)
    if (!message.ok || bytesToHex(message.value) !== '68656c6c6f') t.fail(`message ${i} does not open`)
  }
  t.equal(compared, 6)
})

t.test('a direction that refused once is over, whatever comes', async (t) => {
  const chaining = new Uint8Array(32).fill(1)
  const key = new Uint8Array(32).fill(2)
  const encryptor = new Encryptor(chaining, key)
  const decryptor = new Decryptor(chaining, key)
  const first = encryptor.encrypt(utf8('first'))
  const second = encryptor.encrypt(utf8('second'))
  t.equal(decryptor.decrypt(first).ok, true)
  t.strictSame(decryptor.decrypt(first), { ok: false, error: { code: 'bad_frame' } }, 'a replay')
  t.equal(decryptor.decrypt(second).ok, false, 'an honest frame after it')
})

t.test('bounds: empty, longest, one byte too long, two messages in one frame', async (t) => {
  const chaining = new Uint8Array(32).fill(1)
  const encryptor = new Encryptor(chaining, new Uint8Array(32).fill(2))
  const decryptor = new Decryptor(chaining, new Uint8Array(32).fill(2))
  for (const length of [0, 1, 65_535]) {
    const frame = encryptor.encrypt(new Uint8Array(length).fill(7))
    t.equal(frame.length, length + 34)
    const opened = decryptor.decrypt(frame)
    t.ok(opened.ok && opened.value.length === length && opened.value.every((byte) => byte === 7))
  }
  t.throws(() => encryptor.encrypt(new Uint8Array(65_536)), RangeError)
  const pair = Buffer.concat([encryptor.encrypt(utf8('a')), encryptor.encrypt(utf8('b'))])
  t.equal(decryptor.decrypt(pair).ok, false, 'W2: one message per frame')
})

t.test('RFC 8439, 2.8.2: the cipher with associated data', async (t) => {
  const key = hexToBytes('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f')
  const nonce = hexToBytes('070000004041424344454647')
  const ad = hexToBytes('50515253c0c1c2c3c4c5c6c7')
  const plain = utf8(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  )
  const box = new Uint8Array(plain.length + 16)
  sealInto(box, 0, key, nonce, plain, ad)
  t.equal(bytesToHex(box.subarray(0, 16)), 'd31a8d34648e60db7b86afbc53ef7ec2')
  t.equal(bytesToHex(box.subarray(-16)), '1ae10b594f09e26a7e902ecbd0600691')
  t.strictSame(open(key, nonce, box, ad), plain)
  t.equal(open(key, nonce, box), undefined, 'without its associated data')
})
