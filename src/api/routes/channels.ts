import { MeridianError } from '../../base/errors.js'
import { type ChannelId, idText, parseChannelId } from '../../base/ids.js'
import { LIMITS } from '../../base/limits.js'
import { need } from '../../chain-adapter/need.js'
import type { ChannelSummary } from '../../node/channel-summary.js'
import type { Node } from '../../node/node.js'
import type { Policy } from '../../router/policy.js'
import type { BodyOf } from '../bodies.js'
import { type Routes, setPage } from '../routes.js'
import { channelView, closedView, policyView } from '../views.js'

export function addChannelRoutes(routes: Routes): void {
  const { api, node } = routes
  routes.read(api.channels, async ({ query }) => {
    const all = await node.settled(() => node.channels())
    const { page, cursor } = setPage(all, ({ channel }) => channel, query, LIMITS.api_page)
    return { channels: page.map(channelView), cursor }
  })
  routes.read(api.channel, async ({ params }) => channelView(await node.settled(() => channelNamed(node, params))))
  routes.write(api.openChannel, async ({ peer, deposit_minor, inbound_minor, window_s }, { operation }) => {
    need(await node.connect(peer))
    const wish = { peer: peer.account, deposit: deposit_minor, share: inbound_minor }
    const window = window_s === undefined ? {} : { window: window_s }
    const id = need(await node.openChannel(operation, { ...wish, ...window }))
    return { status: 201, value: { channel: idText(id), peer: idText(peer.account) } }
  })
  routes.write(api.closeChannel, async ({ force }, { params }) => {
    const id = idIn(params)
    if (force) {
      const ending = need(await node.forceClose(id))
      const closed = ending.phase === 'closed'
      return { status: closed ? 200 : 202, value: closedView(ending), open: !closed }
    }
    need(await node.closeChannel(id))
    return { status: 200, value: { channel: idText(id), closed: true } }
  })
  routes.read(api.towerReceipts, ({ params }) => {
    channelNamed(node, params)
    return { receipts: node.towerReceipts(idIn(params)) }
  })
  routes.read(api.channelPolicy, ({ params }) => policyView(channelNamed(node, params).policy))
  routes.write(api.setChannelPolicy, async (body, { params }) => ({
    status: 200,
    value: await setPolicy(node, idIn(params), body),
  }))
  routes.read(api.policy, () => policyView(node.defaultPolicy))
  routes.write(api.setPolicy, async (body) => ({ status: 200, value: await setPolicy(node, null, body) }))
}

interface Named {
  readonly id: string
}

function idIn({ id }: Named): ChannelId {
  const channel = parseChannelId(id)
  if (!channel.ok) throw new MeridianError('not_found', 'a channel id has 64 hexadecimal digits')
  return channel.value
}

function channelNamed(node: Node, params: Named): ChannelSummary {
  const channel = node.channel(idIn(params))
  if (channel === undefined) throw new MeridianError('not_found', 'channel')
  return channel
}

async function setPolicy(node: Node, channel: ChannelId | null, body: BodyOf<'policy'>) {
  const policy: Policy = {
    base: body.base_minor,
    ppm: body.ppm,
    expiryDelta: body.expiry_delta_s,
    minAmount: body.min_minor,
    maxAmount: body.max_minor,
    enabled: body.enabled,
  }
  need(await node.setPolicy(channel, policy))
  return policyView(policy)
}
