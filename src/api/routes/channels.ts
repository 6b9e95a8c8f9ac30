import type { FastifyRequest } from 'fastify'
import { MeridianError } from '../../base/errors.js'
import { type ChannelId, idText, parseChannelId } from '../../base/ids.js'
import { need } from '../../chain-adapter/need.js'
import type { ChannelSummary } from '../../node/channel-summary.js'
import type { Node } from '../../node/node.js'
import type { Policy } from '../../router/policy.js'
import type { BodyOf } from '../bodies.js'
import type { Routes } from '../server.js'
import { channelView, closedView, policyView } from '../views.js'

export function addChannelRoutes({ app, node, bodies, write }: Routes): void {
  app.get('/v1/channels', async () => ({
    channels: (await node.settled(() => node.channels())).map(channelView),
  }))
  app.get('/v1/channels/:id', async (request) => channelView(await node.settled(() => channelNamed(node, request))))
  write('/v1/channels', bodies.channel, async ({ peer, deposit_minor, inbound_minor, window_s }, { operation }) => {
    need(await node.connect(peer))
    const wish = { peer: peer.account, deposit: deposit_minor, share: inbound_minor }
    const window = window_s === undefined ? {} : { window: window_s }
    const id = need(await node.openChannel(operation, { ...wish, ...window }))
    return { status: 201, value: { channel: idText(id), peer: idText(peer.account) } }
  })
  write('/v1/channels/:id/close', bodies.close, async ({ force }, { request }) => {
    const id = idIn(request)
    if (force) {
      const ending = need(await node.forceClose(id))
      const closed = ending.phase === 'closed'
      return { status: closed ? 200 : 202, value: closedView(ending), open: !closed }
    }
    need(await node.closeChannel(id))
    return { status: 200, value: { channel: idText(id), closed: true } }
  })
  /** What towers signed for (T2), one line of a receipt file per tower. */
  app.get('/v1/channels/:id/receipts', async (request) => {
    channelNamed(node, request)
    return { receipts: node.towerReceipts(idIn(request)) }
  })
  app.get('/v1/channels/:id/policy', async (request) => policyView(channelNamed(node, request).policy))
  write('/v1/channels/:id/policy', bodies.policy, async (body, { request }) => {
    const id = idIn(request)
    return { status: 200, value: await setPolicy(node, id, body) }
  })
  /** Of every channel that has none of its own. */
  app.get('/v1/policy', async () => policyView(node.defaultPolicy))
  write('/v1/policy', bodies.policy, async (body) => ({ status: 200, value: await setPolicy(node, null, body) }))
}

function idIn(request: FastifyRequest): ChannelId {
  const { id } = request.params as { readonly id: string }
  const channel = parseChannelId(id)
  if (!channel.ok) throw new MeridianError('not_found', 'a channel id has 64 hexadecimal digits')
  return channel.value
}

function channelNamed(node: Node, request: FastifyRequest): ChannelSummary {
  const channel = node.channel(idIn(request))
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
