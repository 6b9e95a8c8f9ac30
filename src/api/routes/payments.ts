import { MeridianError } from '../../base/errors.js'
import { LIMITS } from '../../base/limits.js'
import { need } from '../../chain-adapter/need.js'
import { zPageQuery } from '../bodies.js'
import { isKey, parseAs, parseDigest, preferredWait } from '../parse.js'
import type { Outcome } from '../requests.js'
import type { Routes } from '../server.js'
import { invoiceView, paymentView, quoteView } from '../views.js'

export const PAYMENTS = '/v1/payments'

export function addPaymentRoutes(routes: Routes): void {
  addInvoiceRoutes(routes)
  const { app, node, bodies, write } = routes
  /** What a payment of this invoice would cost now. */
  app.get('/v1/routes', async ({ query }) => {
    const { invoice, fee_max_minor } = parseAs(bodies.payment, query)
    return quoteView(need(node.quote(invoice, fee_max_minor)))
  })
  app.get(PAYMENTS, async ({ query }) => {
    const { limit = LIMITS.api_page, after = 0 } = parseAs(zPageQuery, query)
    const page = await node.payments(limit, after)
    return { payments: page.map(paymentView), cursor: page.at(-1)?.cursor ?? after }
  })
  app.get('/v1/payments/:key', async ({ params }) => {
    const { key } = params as { readonly key: string }
    const payment = isKey(key) ? node.payment(key) : undefined
    if (payment === undefined) throw new MeridianError('not_found', 'payment')
    return paymentView(payment)
  })
  write(PAYMENTS, bodies.payment, async ({ invoice, fee_max_minor }, { key, request }) => {
    const replayed = node.payment(key) !== undefined
    need(await node.pay(key, invoice, fee_max_minor))
    return { ...(await settled(routes, key, preferredWait(request))), replayed }
  })
}

/** R5: 201 with the payment's end, whichever it is; 202 while there is none. */
async function settled({ node, stopping }: Routes, key: string, wait_s: number): Promise<Outcome> {
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

function addInvoiceRoutes({ app, node, bodies, write }: Routes): void {
  app.get('/v1/invoices', async ({ query }) => {
    const { limit = LIMITS.api_page, after = 0 } = parseAs(zPageQuery, query)
    const page = await node.invoices(limit, after)
    return { invoices: page.map(invoiceView), cursor: page.at(-1)?.cursor ?? after }
  })
  app.get('/v1/invoices/:id', async ({ params }) => {
    const id = parseDigest((params as { readonly id: string }).id)
    const issued = id === undefined ? undefined : node.invoice(id)
    if (issued === undefined) throw new MeridianError('not_found', 'invoice')
    return invoiceView(issued)
  })
  write('/v1/invoices', bodies.invoice, async ({ amount_minor, reference, expires_in_s }, { operation }) => {
    const wish = { amount: amount_minor, reference, expiresIn: expires_in_s }
    return { status: 201, value: invoiceView(need(await node.issueInvoice(operation, wish))) }
  })
}
