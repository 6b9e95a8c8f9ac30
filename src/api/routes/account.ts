import { idText } from '../../base/ids.js'
import type { SubmitReceipt } from '../../base/ports/chain.js'
import type { Result } from '../../base/result.js'
import { need } from '../../chain-adapter/need.js'
import { admit, register, registrationRequest } from '../../wallet/registration.js'
import type { Outcome } from '../requests.js'
import type { Routes } from '../server.js'
import { accountView, receiptView } from '../views.js'

const final = (receipt: Result<SubmitReceipt>): Outcome => ({ status: 201, value: receiptView(need(receipt)) })

export function addAccountRoutes({ app, node, bodies, write }: Routes): void {
  const { wallet } = node
  app.get('/v1/account', async () => {
    const balance = await wallet.balance()
    if (!balance.ok && balance.error.code !== 'not_registered') need(balance)
    return accountView(idText(node.account), balance.ok ? balance.value : undefined)
  })
  /** What the issuer asks for before it admits the account. */
  app.get('/v1/account/registration', () => registrationRequest(wallet))
  write('/v1/account/register', bodies.register, async ({ admission }) => {
    const { account } = need(await register(wallet, admission))
    return { status: 201, value: { account: idText(account), registered: true } }
  })
  write('/v1/account/admit', bodies.admit, async (request) => {
    const admission = need(await admit(wallet, request))
    return { status: 201, value: { account: request.account, admission } }
  })
  write('/v1/account/mint', bodies.mint, async ({ to, amount_minor }, { operation }) =>
    final(await wallet.mint(operation, to, amount_minor)),
  )
  write('/v1/account/redeem', bodies.redeem, async ({ amount_minor }, { operation }) =>
    final(await wallet.redeem(operation, amount_minor)),
  )
  write('/v1/account/transfer', bodies.transfer, async ({ to, amount_minor }, { operation }) =>
    final(await wallet.transfer(operation, to, amount_minor)),
  )
  write('/v1/account/rollover', bodies.none, async (_body, { operation }) => final(await wallet.rollover(operation)))
}
