import type { Command } from 'commander'
import type { InvoiceAnswer } from '../../api/answers.js'
import type { ApiClient } from '../../api/client.js'
import { type Amount, formatDecimal, formatGrouped, ZERO } from '../../base/amount.js'
import { idText } from '../../base/ids.js'
import { need } from '../../chain-adapter/need.js'
import { invoiceDigest, parseInvoice } from '../../router/invoice.js'
import { amountOption } from '../amount-option.js'
import { UsageError } from '../exit.js'
import { ask, type NodeVerbOptions, nodeVerb, type WriteVerbOptions, write, writeVerb } from '../node-verb.js'
import { columns, timeText } from '../output.js'
import { type CommonOptions, group, integer, outputOf } from '../verb.js'

export const invoiceVerb = (): Command => group('invoice', 'ask to be paid', [createVerb, showVerb])

interface CreateOptions extends WriteVerbOptions {
  readonly amount: Amount
  readonly reference?: string
  readonly expires?: number
  readonly refundOf?: string
}

const createVerb = (): Command =>
  writeVerb('create', 'make an invoice; its text goes to the payer alone, for it names the amount')
    .requiredOption('--amount <decimal>', 'exactly two decimals, such as 1241.22', amountOption)
    .option('--reference <text>', "the payer's claim number; a refund has that of its payment")
    .option(
      '--refund-of <payment>',
      'asks for money back: the invoice that was paid (mrd1… or its id), or the key of `pay`',
    )
    .option('--expires <seconds>', 'ledger seconds from now (default: a day)', integer(1, 31_536_000))
    .action(create)

async function create(options: CreateOptions): Promise<void> {
  const { amount, reference, expires, refundOf } = options
  if (reference === undefined && refundOf === undefined) throw new UsageError('--reference or --refund-of is needed')
  await write(options, async ({ api, out }, key) => {
    const original = refundOf === undefined ? undefined : await paidInvoice(api, refundOf)
    const made = await api.createInvoice(key, amount, reference, expires, original)
    out.print(made.invoice, { ...made, key })
    if (made.warning !== null) out.note(`warning: ${made.warning}: ${remedy(made, options)}`)
  })
}

/** R7: who can be paid less than it asks for puts it right before the payer finds out. */
function remedy(
  { amount_minor: amount, can_receive_minor: canReceive }: InvoiceAnswer,
  { dir }: WriteVerbOptions,
): string {
  const able = canReceive ?? ZERO
  const missing = amount > able ? ((amount - able) as Amount) : ZERO
  return `your channels can receive ${formatGrouped(able)}; ask a hub for more: meridian channel open <hub> --deposit … --ask-inbound ${formatDecimal(missing)} --dir ${dir}`
}

/** Id of the invoice that is meant by its text, its id or the key of its payment. */
async function paidInvoice(api: ApiClient, text: string): Promise<string> {
  if (isId(text)) return text
  const invoice = parseInvoice(text)
  return invoice.ok ? idText(invoiceDigest(invoice.value)) : (await api.payment(text)).invoice
}

const isId = (text: string): boolean => /^[0-9a-f]{64}$/.test(text)

const showVerb = (): Command =>
  nodeVerb('show', 'read and check an invoice; by its id also whether it is paid, as the running node has it')
    .argument('<invoice>', 'mrd1… (needs no running node), or the id of one that this node issued')
    .action(show)

async function show(text: string, options: NodeVerbOptions): Promise<void> {
  if (!isId(text)) return shown(text, options)
  const { api } = await ask(options)
  const issued = await api.invoice(text)
  shown(issued.invoice, options, issued.paid)
}

function shown(text: string, options: CommonOptions, paid?: boolean): void {
  const invoice = need(parseInvoice(text))
  const { amount, reference, refundOf, payee, ledger, created, expires, hints } = invoice
  const hubs = hints.map(({ hub, url }) => ({ hub: idText(hub), url }))
  outputOf(options).print(
    columns([
      ['amount', formatGrouped(amount)],
      ['reference', reference],
      ...(refundOf === null ? [] : [['refund of', idText(refundOf)]]),
      ...(paid === undefined ? [] : [['paid', paid ? 'yes' : 'no']]),
      ['payee', idText(payee)],
      ['ledger', idText(ledger)],
      ['made', timeText(created)],
      ['expires', timeText(expires)],
      ...hubs.map(({ hub, url }) => ['through', url === null ? hub : `${hub}@${url}`]),
    ]),
    {
      id: idText(invoiceDigest(invoice)),
      amount_minor: amount,
      reference,
      refund_of: refundOf === null ? null : idText(refundOf),
      ...(paid === undefined ? {} : { paid }),
      payee: idText(payee),
      ledger: idText(ledger),
      created,
      expires,
      hubs,
    },
  )
}
