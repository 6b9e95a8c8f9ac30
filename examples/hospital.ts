/**
 * A hospital's billing system: asks for what each claim is owed, hands the invoices to the insurer, and books what comes
 * in. May be killed and started again at any time: a claim is invoiced once and booked once.
 *
 *   node dist/examples/hospital.js --claims claims.csv --invoices invoices.csv --books books.jsonl
 *
 *   MERIDIAN_URL         the node's API, such as http://127.0.0.1:9750 (default)
 *   MERIDIAN_TOKEN_FILE  meridian token create --scope invoice --out FILE
 *   --claims    id,amount a line, such as claim-7,1241.22
 *   --invoices  out: id,invoice a line, for the insurer
 *   --books     out: one JSON object a paid claim; its cursor is where the next start goes on
 */
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { formatUsd, Meridian, usd } from 'meridian'

const { values } = parseArgs({
  options: {
    claims: { type: 'string', default: 'claims.csv' },
    invoices: { type: 'string', default: 'invoices.csv' },
    books: { type: 'string', default: 'books.jsonl' },
  },
})
const node = await Meridian.connect({
  url: process.env['MERIDIAN_URL'] ?? 'http://127.0.0.1:9750',
  tokenFile: process.env['MERIDIAN_TOKEN_FILE'] ?? 'hospital.token',
})

interface Entry {
  readonly cursor: number
  readonly claim: string
  readonly amount: string
  readonly receipt: string
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '')
const claims = lines(await readFile(values.claims, 'utf8')).map((line) => {
  const [id = '', amount = ''] = line.split(',')
  return { id, amount: usd(amount) }
})
const booked = lines(await readFile(values.books, 'utf8').catch(() => '')).map((line) => JSON.parse(line) as Entry)

// The claim's number is the idempotency key: however often this runs, the claim has one invoice.
const issued: string[] = []
for (const { id, amount } of claims) {
  let invoice = await node.invoices.create({ amount, reference: id }, { idempotencyKey: id })
  while (invoice.status === 'pending') {
    invoice = await node.invoices.create({ amount, reference: id }, { idempotencyKey: id })
  }
  issued.push(`${id},${invoice.invoice}\n`)
}
await writeFile(values.invoices, issued.join(''))
console.log(`${claims.length} invoices in ${values.invoices}`)

const open = new Set(claims.map(({ id }) => id))
for (const { claim } of booked) open.delete(claim)
const after = booked.at(-1)?.cursor ?? 0
if (open.size > 0) {
  for await (const e of node.events({ after })) {
    if (e.type !== 'invoice.paid' || !open.has(e.reference)) continue
    const entry: Entry = { cursor: e.cursor, claim: e.reference, amount: formatUsd(e.amount), receipt: e.receipt }
    await appendFile(values.books, `${JSON.stringify(entry)}\n`) // with its cursor, in one line: booked once
    console.log(`paid ${entry.claim} ${entry.amount}`)
    open.delete(entry.claim)
    if (open.size === 0) break
  }
}
console.log('every claim is paid')
