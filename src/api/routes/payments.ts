import { formatGrouped } from '../../base/amount.js'
import { MeridianError } from '../../base/errors.js'
import { LIMITS } from '../../base/limits.js'
import { need } from '../../chain-adapter/need.js'
import type { Capacities } from '../../node/capacity.js'
import { isKey, parseDigest, preferredWait } from '../parse.js'
import type { Outcome } from '../requests.js'
import type { Routes } from '../routes.js'
import { invoiceView, paymentView, quoteView } from '../views.js'

export function addPaymentRoutes(routes: Routes): void {
  addInvoiceRoutes(routes)
  const { api, node } = routes
  routes.read(api.routes, ({ query: { invoice, fee_max_minor } }) => {
    const quote = node.quote(invoice, fee_max_minor)
    const { capacities } = node
    if (quote.ok) return quoteView(quote.value, capacities)
    const own = quote.error.code === 'no_capacity'
    throw new MeridianError(quote.error.code, own ? sendable(capacities) : quote.error.detail)
  })
  routes.read(api.payments, async ({ query: { limit = LIMITS.api_page, after = 0 } }) => {
    const page = await node.payments(limit, after)
    return { payments: page.map(paymentView), cursor: page.at(-1)?.cursor ?? after }
  })
  routes.read(api.payment, ({ params: { key } }) => {
    const payment = isKey(key) ? node.payment(key) : undefined
    if (payment === undefined) throw new MeridianError('not_found', 'payment')
    return paymentView(payment)
  })
  routes.write(api.pay, async ({ invoice, fee_max_minor }, { key, request }) => {
    const replayed = node.payment(key) !== undefined
    if (!replayed) routes.metrics.paymentBegins(key)
    need(await node.pay(key, invoice, fee_max_minor))
    return { ...(await settled(routes, key, preferredWait(request))), replayed }
  })
  /** A payment under the node's own name of the key: what it is stays known for ever, as with any payment. */
  routes.write(api.rebalance, async ({ from, to, amount_minor, fee_max_minor }, { operation, request }) => {
    const replayed = node.payment(operation) !== undefined
    need(await node.rebalance(operation, { from, to, amount: amount_minor, feeMax: fee_max_minor }))
    return { ...(await settled(routes, operation, preferredWait(request))), replayed }
  })
}

/** R7: to the payer's own operator, what its own side has. */
const sendable = ({ canSend, canSendAtOnce }: Capacities): string =>
  `fees included, ${formatGrouped(canSend)} can be sent, ${formatGrouped(canSendAtOnce)} of it at once`

/** R5: 201 with the payment's end, whichever it is; 202 while there is none. */
async function settled(
  { node, stopping }: Routes,
  key: string,
  wait_s: number,
): Promise<Outcome<ReturnType<typeof paymentView>>> {
  let stop = (): void => {}
  const stopped = new Promise<void>((resolve) => {
    stop = resolve
  })
  stopping.addEventListener('abort', stop)
  if (!stopping.aborted) await Promise.race([node.waitPayment(key, wait_s * 1_000), stopped])
  stopping.removeEventListener('abort', stop)
  const payment = node.payment(key)
  if (payment === undefined) throw new MeridianError('unavailable', 'the node is stopping')
  const pending = payment.status === 'pending'
  return { status: pending ? 202 : 201, value: paymentView(payment), open: pending }
}

function addInvoiceRoutes(routes: Routes): void {
  const { api, node } = routes
  const view = (issued: Parameters<typeof node.receiptOf>[0]) =>
    invoiceView(issued, node.receiptOf(issued), node.capacities)
  routes.read(api.invoices, async ({ query: { limit = LIMITS.api_page, after = 0 } }) => {
    const page = await node.invoices(limit, after)
    return { invoices: page.map(view), cursor: page.at(-1)?.cursor ?? after }
  })
  routes.read(api.invoice, ({ params }) => {
    const id = parseDigest(params.id)
    const issued = id === undefined ? undefined : node.invoice(id)
    if (issued === undefined) throw new MeridianError('not_found', 'invoice')
    return view(issued)
  })
  routes.write(api.createInvoice, async ({ amount_minor, reference, expires_in_s, refund_of }, { operation }) => {
    const wish = {
      amount: amount_minor,
      expiresIn: expires_in_s,
      ...(reference === undefined ? {} : { reference }),
      ...(refund_of === undefined ? {} : { refundOf: refund_of }),
    }
    return { status: 201, value: view(need(await node.issueInvoice(operation, wish))) }
  })
}
