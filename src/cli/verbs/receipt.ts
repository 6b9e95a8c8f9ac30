import type { Command } from 'commander'
import { formatGrouped } from '../../base/amount.js'
import { type AccountId, idText, type LedgerId, parseAccountId, parseChannelId } from '../../base/ids.js'
import { verifyReceipt } from '../../router/receipt.js'
import { readInput } from '../directory.js'
import { EXIT, UsageError, VerbExit } from '../exit.js'
import { columns, timeText } from '../output.js'
import { type CommonOptions, group, outputOf, verb } from '../verb.js'

export const receiptVerb = (): Command => group('receipt', 'proof of payment', [verifyVerb])

interface VerifyOptions extends CommonOptions {
  readonly payee?: string
  readonly ledger?: string
}

const verifyVerb = (): Command =>
  verb('verify', 'check offline that an invoice was paid')
    .argument('<file>', 'the receipt')
    .option('--payee <account>', 'who must have been paid; anybody may write receipts of an account of his own')
    .option('--ledger <id>', 'on which ledger')
    .action(verify)

async function verify(file: string, options: VerifyOptions): Promise<void> {
  const expected = {
    ...(options.payee === undefined ? {} : { payee: accountOf(options.payee) }),
    ...(options.ledger === undefined ? {} : { ledger: ledgerOf(options.ledger) }),
  }
  const verified = verifyReceipt(new TextDecoder().decode(await readInput(file)), expected)
  if (!verified.ok) {
    const { code, detail } = verified.error
    throw new VerbExit(EXIT.checkFailed, `not proven: ${code}${detail === undefined ? '' : ` (${detail})`}`)
  }
  const { id, amount, reference, refundOf, payee, ledger, created } = verified.value
  const out = outputOf(options)
  out.print(
    columns([
      ['PAID', formatGrouped(amount)],
      ['reference', reference],
      ...(refundOf === null ? [] : [['refund of', idText(refundOf)]]),
      ['invoiced', timeText(created)],
      ['payee', idText(payee)],
      ['ledger', idText(ledger)],
    ]),
    {
      paid: true,
      id: idText(id),
      amount_minor: amount,
      reference,
      refund_of: refundOf === null ? null : idText(refundOf),
      payee: idText(payee),
      ledger: idText(ledger),
      created,
    },
  )
  if (options.payee === undefined) out.note('the payee was not checked: give --payee ACCOUNT')
}

function accountOf(text: string): AccountId {
  const account = parseAccountId(text)
  if (!account.ok) throw new UsageError('--payee is an account: 66 hexadecimal digits')
  return account.value
}

function ledgerOf(text: string): LedgerId {
  const id = parseChannelId(text) // the same form: a digest
  if (!id.ok) throw new UsageError('--ledger is a ledger id: 64 hexadecimal digits')
  return id.value as unknown as LedgerId
}
