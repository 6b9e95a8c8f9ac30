/**
 * An insurer's payment run: pays the invoices that a hospital handed over and keeps the receipts. May be killed and started
 * again at any time: an invoice is paid once.
 *
 *   node dist/examples/insurer.js --invoices invoices.csv --receipts receipts --max-fee 1.00
 *
 *   MERIDIAN_URL         the node's API, such as http://127.0.0.1:9750 (default)
 *   MERIDIAN_TOKEN_FILE  meridian token create --scope pay --out FILE
 *   --invoices  id,invoice a line, as examples/hospital.ts writes them
 *   --receipts  out: a directory, one receipt a claim: `meridian receipt verify FILE` checks them offline
 *   --max-fee   most that hubs may take of one payment
 *
 * Exit code 0: all paid. 1: at least one failed; nothing left for it, the code is printed.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { formatUsd, Meridian, MeridianError, usd } from 'meridian'

const { values } = parseArgs({
  options: {
    invoices: { type: 'string', default: 'invoices.csv' },
    receipts: { type: 'string', default: 'receipts' },
    'max-fee': { type: 'string', default: '1.00' },
  },
})
const node = await Meridian.connect({
  url: process.env['MERIDIAN_URL'] ?? 'http://127.0.0.1:9750',
  tokenFile: process.env['MERIDIAN_TOKEN_FILE'] ?? 'insurer.token',
})
const feeMax = usd(values['max-fee'])
await mkdir(values.receipts, { recursive: true })

/** The end of one payment: pending is neither paid nor failed, the same key asks again. */
async function pay(claim: string, invoice: string) {
  for (;;) {
    const payment = await node.payments.create({ invoice, feeMax }, { idempotencyKey: claim })
    if (payment.status !== 'pending') return payment
    await pause(1_000)
  }
}

let failed = 0
for (const line of (await readFile(values.invoices, 'utf8')).split('\n')) {
  const [claim, invoice] = line.split(',')
  if (claim === undefined || invoice === undefined) continue
  try {
    const payment = await pay(claim, invoice)
    if (payment.status === 'succeeded') {
      await writeFile(join(values.receipts, `${encodeURIComponent(claim)}.json`), payment.receipt)
      console.log(`paid ${claim} ${formatUsd(payment.amount)} fee ${formatUsd(payment.fee)}`)
    } else {
      failed += 1
      console.log(`failed ${claim} ${payment.code}`)
    }
  } catch (error) {
    if (!(error instanceof MeridianError)) throw error
    failed += 1 // refused before anything began: the message says what to do
    console.log(`refused ${claim} ${error.message}`)
  }
}
process.exitCode = failed === 0 ? 0 : 1
