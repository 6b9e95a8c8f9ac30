/** R6: invoices: what a payee signs, and everything that is not it. */
import { bech32m } from '@scure/base'
import t from 'tap'
import { bytesToHex, hexToBytes, utf8 } from '../../src/base/bytes.js'
import { cbor, cborCanonical } from '../../src/base/codec.js'
import { curve, q } from '../../src/base/curve/index.js'
import {
  createInvoice,
  formatInvoice,
  type Invoice,
  invoiceScalar,
  parseInvoice,
  payable,
} from '../../src/router/invoice.js'
import {
  alice,
  bob,
  carol,
  cents,
  digest,
  invoiceOf,
  ledger,
  mallory,
  must,
  NOW,
  noise,
  policy,
  request,
  toCarol,
} from './support.js'

const refusal = (code: string) => ({ ok: false, error: { code } })

/** Any content, signed or not, as an invoice's text. */
const asText = (value: unknown) => bech32m.encode('mrd', bech32m.toWords(cbor(value)), false)
const fieldsOf = (invoice: Invoice) => {
  const bytes = bech32m.decodeToBytes(formatInvoice(invoice), false).bytes
  return must(cborCanonical(bytes)) as Record<string, unknown>
}

t.test('R6: an invoice survives its text, in either case, and names its payee', (t) => {
  const invoice = invoiceOf()
  const text = formatInvoice(invoice)
  t.match(text, /^mrd1[02-9ac-hj-np-z]+$/)
  t.same(must(parseInvoice(text)), invoice)
  t.same(must(parseInvoice(text.toUpperCase())), invoice, 'as a QR code has it')
  t.same(
    invoice.point,
    curve.multiplyBase(invoiceScalar(carol.seed, ledger, invoice.secret)),
    't follows from the seed',
  )
  t.notSame(invoiceOf({ secret: digest('other') }).point, invoice.point, 'another secret, another point')
  const context = { ledger, amountBits: 48, now: NOW, payer: alice.account }
  t.ok(payable(invoice, context).ok)
  t.ok(payable(invoice, { ...context, now: invoice.expires }).ok, 'the last second counts')
  t.match(payable(invoice, { ...context, now: invoice.expires + 1 }), refusal('invoice_expired'))
  t.match(payable(invoice, { ...context, ledger: digest('other ledger') }), refusal('invoice_wrong_ledger'))
  t.match(payable(invoice, { ...context, amountBits: 16 }), refusal('bad_amount'))
  t.match(payable(invoice, { ...context, payer: carol.account }), refusal('circular_route'))
  t.end()
})

t.test('R6: the largest invoice fits, a larger one is not made', (t) => {
  const hint = {
    hub: bob.account,
    url: `ws://${'a'.repeat(246)}:1`,
    channel: toCarol,
    policy: { ...policy, base: cents(2n ** 64n - 1n) },
  }
  const hints = [hint, hint, hint, hint]
  const reference = 'é'.repeat(128)
  const largest = invoiceOf({ hints, reference, expires: Number.MAX_SAFE_INTEGER, finalDelta: Number.MAX_SAFE_INTEGER })
  t.ok(parseInvoice(formatInvoice(largest)).ok)
  const make = (change: object) => createInvoice(request(change), carol.seed, carol.key)
  t.match(make({ reference: `${reference}x` }), refusal('invoice_invalid'), '257 bytes')
  t.match(make({ hints: [...hints, hint] }), refusal('invoice_invalid'))
  t.match(make({ hints: [{ ...hint, url: 'http://example.org' }] }), refusal('invoice_invalid'))
  t.match(make({ reference: 'claim\u001b[2J' }), refusal('invoice_invalid'), 'no terminal sequences')
  t.match(make({ reference: 'claim\u202e7' }), refusal('invoice_invalid'), 'no text that shows reversed')
  t.match(make({ amount: cents(0) }), refusal('invoice_invalid'))
  t.match(make({ expires: NOW - 11 }), refusal('invoice_invalid'))
  t.match(make({ secret: new Uint8Array(31) }), refusal('invoice_invalid'))
  t.end()
})

t.test('R6: what is not exactly what the payee signed is refused with a clear code', (t) => {
  const invoice = invoiceOf()
  const fields = fieldsOf(invoice)
  const other = fieldsOf(
    invoiceOf({ amount: cents(1), secret: digest('x'), reference: 'y', created: NOW - 9, hints: [] }),
  )
  for (const name of ['amount', 'secret', 'point', 'reference', 'created', 'hints', 'signature'])
    t.match(parseInvoice(asText({ ...fields, [name]: other[name] })), refusal('invoice_signature'), name)
  t.match(parseInvoice(asText({ ...fields, payee: mallory.account })), refusal('invoice_signature'), 'another payee')
  t.match(parseInvoice(asText({ ...fields, ledger: digest('l') })), refusal('invoice_signature'), 'another ledger')
  const high = invoice.signature.slice()
  const s = BigInt(`0x${bytesToHex(high.slice(32))}`)
  high.set(hexToBytes((q - s).toString(16).padStart(64, '0')), 32)
  t.match(parseInvoice(asText({ ...fields, signature: high })), refusal('invoice_signature'), 'high s')
  const shapes = {
    more: { ...fields, more: 1 },
    version: { ...fields, version: 2 },
    point: { ...fields, point: new Uint8Array(33) },
    list: [],
    amount: { ...fields, amount: 1 },
  }
  for (const [name, value] of Object.entries(shapes))
    t.match(parseInvoice(asText(value)), refusal('invoice_invalid'), name)
  const text = formatInvoice(invoice)
  t.match(parseInvoice(text.replace('mrd1', 'lno1')), refusal('invoice_invalid'), 'another prefix')
  const { words } = bech32m.decode(text as 'mrd1', false)
  t.match(
    parseInvoice(bech32m.encode('lno', words, false)),
    refusal('invoice_invalid'),
    'another prefix, right checksum',
  )
  t.match(parseInvoice(''), refusal('invoice_invalid'))
  t.match(parseInvoice('q'.repeat(4_097)), refusal('too_long'))
  t.match(parseInvoice(bech32m.encode('mrd', bech32m.toWords(utf8('no cbor')), false)), refusal('invoice_invalid'))
  t.end()
})

t.test('2,000 mutants of an invoice, checksum wrong or mended: each refused, none throws', (t) => {
  const text = formatInvoice(invoiceOf())
  const bytes = bech32m.decodeToBytes(text, false).bytes
  const alphabet = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l1B _'
  let refused = 0
  for (let i = 0; i < 2_000; i++) {
    const [a, b, c, d] = noise(i)
    const at = a! * 256 + b!
    let mutant: string
    if (i % 2 === 0) {
      const k = at % text.length
      mutant = text.slice(0, k) + alphabet[c! % alphabet.length]! + text.slice(k + (d! % 3))
    } else {
      const raw = bytes.slice(0, i % 9 === 0 ? at % bytes.length : bytes.length)
      if (raw.length > 0) raw[at % raw.length]! ^= (c! % 255) + 1
      mutant = bech32m.encode('mrd', bech32m.toWords(raw), false)
    }
    if (mutant === text) refused++
    else if (!parseInvoice(mutant).ok) refused++
    else t.fail(`mutant ${i} passes`)
  }
  t.equal(refused, 2_000)
  t.end()
})
