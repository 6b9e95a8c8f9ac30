import { idText } from '../../base/ids.js'
import type { SubmitReceipt } from '../../base/ports/chain.js'
import type { Result } from '../../base/result.js'
import { need } from '../../chain-adapter/need.js'
import { admit, register, registrationRequest } from '../../wallet/registration.js'
import type { Routes } from '../routes.js'
import { accountView, receiptView } from '../views.js'

const final = (receipt: Result<SubmitReceipt>) => ({ status: 201, value: receiptView(need(receipt)) })

export function addAccountRoutes(routes: Routes): void {
  const { api, node } = routes
  const { wallet } = node
  routes.read(api.account, async () => {
    const balance = await wallet.balance()
    if (!balance.ok && balance.error.code !== 'not_registered') need(balance)
    return accountView(idText(node.account), balance.ok ? balance.value : undefined)
  })
  routes.read(api.registration, () => registrationRequest(wallet))
  routes.write(api.register, async ({ admission }) => {
    const { account } = need(await register(wallet, admission))
    return { status: 201, value: { account: idText(account), registered: true } }
  })
  routes.write(api.admit, async (request) => {
    const admission = need(await admit(wallet, request))
    return { status: 201, value: { account: request.account, admission } }
  })
  routes.write(api.mint, async ({ to, amount_minor }, { operation }) =>
    final(await wallet.mint(operation, to, amount_minor)),
  )
  routes.write(api.redeem, async ({ amount_minor }, { operation }) =>
    final(await wallet.redeem(operation, amount_minor)),
  )
  routes.write(api.transfer, async ({ to, amount_minor }, { operation }) =>
    final(await wallet.transfer(operation, to, amount_minor)),
  )
  routes.write(api.rollover, async (_body, { operation }) => final(await wallet.rollover(operation)))
}
