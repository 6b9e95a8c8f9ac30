import type { Command } from 'commander'
import { type Amount, formatGrouped } from '../../base/amount.js'
import { idText } from '../../base/ids.js'
import { need } from '../../chain-adapter/need.js'
import { invoiceDigest, parseInvoice } from '../../router/invoice.js'
import { amountOption } from '../amount-option.js'
import { ask, type NodeVerbOptions, nodeVerb, type WriteVerbOptions, write, writeVerb } from '../node-verb.js'
import { columns } from '../output.js'
import { type CommonOptions, group, integer, outputOf } from '../verb.js'

export const invoiceVerb = (): Command => group('invoice', 'ask to be paid', [createVerb, showVerb])

interface CreateOptions extends WriteVerbOptions {
  readonly amount: Amount
  readonly reference: string
  readonly expires?: number
}

const createVerb = (): Command =>
  writeVerb('create', 'make an invoice; its text goes to the payer alone, for it names the amount')
    .requiredOption('--amount <decimal>', 'exactly two decimals, such as 1241.22', amountOption)
    .requiredOption('--reference <text>', "the payer's claim number")
    .option('--expires <seconds>', 'ledger seconds from now (default: a day)', integer(1, 31_536_000))
    .action(create)

async function create(options: CreateOptions): Promise<void> {
  await write(options, async ({ api, out }, key) => {
    const made = await api.createInvoice(key, options.amount, options.reference, options.expires)
    out.print(made.invoice, { ...made, key })
  })
}

const showVerb = (): Command =>
  nodeVerb('show', 'read and check an invoice; by its id also whether it is paid, as the running node has it')
    .argument('<invoice>', 'mrd1… (needs no running node), or the id of one that this node issued')
    .action(show)

async function show(text: string, options: NodeVerbOptions): Promise<void> {
  if (!/^[0-9a-f]{64}$/.test(text)) return shown(text, options)
  const { api } = await ask(options)
  const issued = await api.invoice(text)
  shown(issued.invoice, options, issued.paid)
}

function shown(text: string, options: CommonOptions, paid?: boolean): void {
  const invoice = need(parseInvoice(text))
  const { amount, reference, payee, ledger, created, expires, hints } = invoice
  const hubs = hints.map(({ hub, url }) => ({ hub: idText(hub), url }))
  outputOf(options).print(
    columns([
      ['amount', formatGrouped(amount)],
      ['reference', reference],
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
      ...(paid === undefined ? {} : { paid }),
      payee: idText(payee),
      ledger: idText(ledger),
      created,
      expires,
      hubs,
    },
  )
}

/** Ledger seconds are UTC where the ledger's clock is the system's. */
function timeText(seconds: number): string {
  const date = new Date(seconds * 1_000)
  return Number.isNaN(date.getTime()) ? `${seconds}` : `${seconds} (${date.toISOString()})`
}
