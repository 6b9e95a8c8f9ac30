import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import type { Command } from 'commander'
import type { PaymentAnswer } from '../../api/answers.js'
import { type Amount, formatGrouped } from '../../base/amount.js'
import { bytesToHex, utf8 } from '../../base/bytes.js'
import { sha256 } from '../../base/digest.js'
import { ERRORS } from '../../base/errors.js'
import { need } from '../../chain-adapter/need.js'
import { parseInvoice } from '../../router/invoice.js'
import { verifyReceipt } from '../../router/receipt.js'
import { writeFileAtomic } from '../../store/file.js'
import { amountOption } from '../amount-option.js'
import { EXIT, isSystemError, UsageError, VerbExit } from '../exit.js'
import { ask, type NodeVerbOptions, nodeVerb } from '../node-verb.js'
import type { Output } from '../output.js'
import { outside } from '../passphrase.js'
import { integer } from '../verb.js'

interface PayOptions extends NodeVerbOptions {
  readonly maxFee?: Amount
  readonly key?: string
  readonly quote?: true
  readonly receipt?: string
  readonly wait: number
}

export const payVerb = (): Command =>
  nodeVerb('pay', 'pay an invoice and keep the receipt')
    .argument('<invoice>', 'mrd1…')
    .option('--max-fee <decimal>', 'most that forwarding may cost (default: 1 %, at least 1.00)', amountOption)
    .option('--key <key>', 'idempotency key (default: made of the invoice, so that repeating never pays twice)')
    .option('--receipt <file>', 'where the proof of payment goes, outside of --dir (default: ./receipt-<key>.json)')
    .option('--wait <seconds>', 'how long to wait for the end', integer(0, 60), 30)
    .option('--quote', 'show the cost and pay nothing')
    .action(pay)

async function pay(text: string, options: PayOptions): Promise<void> {
  const invoice = need(parseInvoice(text))
  const feeMax = options.maxFee ?? defaultFee(invoice.amount)
  if (options.quote) return quote(text, feeMax, options)
  const key = options.key ?? `pay-${bytesToHex(sha256(utf8(text))).slice(0, 32)}`
  const file = options.receipt ?? `receipt-${key.replace(/[^A-Za-z0-9._-]/g, '_')}.json`
  await checkReceiptPath(options.dir, file)
  const { api, out } = await ask(options)
  const began = performance.now()
  const payment = await api.pay(key, text, feeMax, options.wait)
  const took = `${Math.round(performance.now() - began)} ms`
  switch (payment.status) {
    case 'succeeded':
      return succeeded(payment, file, took, out)
    case 'failed': {
      const code = payment.code ?? 'internal'
      const place = payment.failed_at
      const where = place === null ? '' : ` at hop ${place.hop} ${place.account}`
      out.print(`failed ${code}${where} ${took}`, { ...payment, receipt: null })
      const again =
        options.key === undefined ? '; to try again, give a --key of your own' : '; to try again, another --key'
      throw new VerbExit(EXIT.refused, `${code}: ${ERRORS[code].text} Nothing was paid${again}`)
    }
    case 'pending':
      out.print(`pending ${took}`, { ...payment, receipt: null })
      throw new VerbExit(EXIT.pending, `the payment is under way: the same command with --key ${key} waits on`)
  }
}

const CENT_PER_HUNDRED = 100n
const FEE_MIN = 100n

function defaultFee(amount: Amount): Amount {
  const share = (amount + CENT_PER_HUNDRED - 1n) / CENT_PER_HUNDRED
  return (share > FEE_MIN ? share : FEE_MIN) as Amount
}

async function quote(text: string, feeMax: Amount, options: PayOptions): Promise<void> {
  const { api, out } = await ask(options)
  const quoted = await api.quote(text, feeMax)
  const { amount_minor, fee_minor, hops, parts, can_send_minor: canSend, can_send_at_once_minor: atOnce } = quoted
  const cost = `${formatGrouped(amount_minor)} fee ${formatGrouped(fee_minor)} hops ${hops}${inParts(parts)}`
  const able =
    canSend === null || atOnce === null ? '' : `${formatGrouped(canSend)}, ${formatGrouped(atOnce)} of it at once`
  out.print(able === '' ? cost : `${cost}\nyour channels can send ${able}`, quoted)
}

const inParts = (parts: number): string => (parts > 1 ? ` parts ${parts}` : '')

/** Before anything is paid. @throws UsageError */
async function checkReceiptPath(dir: string, file: string): Promise<void> {
  outside(dir, file, 'the receipt')
  if (existsSync(file) && !verifyReceipt(await readFile(file, 'utf8')).ok) {
    throw new UsageError(`${file} is there and is no receipt: give --receipt FILE`)
  }
}

async function succeeded(payment: PaymentAnswer, file: string, took: string, out: Output): Promise<void> {
  const { amount_minor: amount, fee_minor: fee, hops, parts, receipt, key } = payment
  try {
    await writeFileAtomic(file, utf8(receipt ?? ''))
  } catch (error) {
    if (!isSystemError(error)) throw error
    const why = `it is paid, but ${file} could not be written (${error.code})`
    throw new VerbExit(EXIT.pending, `${why}: the same command with --key ${key} and another --receipt writes it`)
  }
  const cost = `fee ${formatGrouped(fee ?? (0n as Amount))} hops ${hops}${inParts(parts)}`
  out.print(`succeeded ${formatGrouped(amount)} ${cost} ${took} receipt ${file}`, { ...payment, receipt: file })
}
