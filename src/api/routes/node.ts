import { MeridianError } from '../../base/errors.js'
import { LIMITS } from '../../base/limits.js'
import { need } from '../../chain-adapter/need.js'
import { formatPeerAddress } from '../../wire/address.js'
import { openApi } from '../openapi.js'
import { type Routes, setPage } from '../routes.js'
import { nodeView } from '../views.js'

const VERSION = 'v1'

export function addNodeRoutes(routes: Routes): void {
  const { node, api, stopping } = routes
  routes.read(api.health, () => ({ ok: true as const }))
  routes.read(api.ready, () => {
    if (stopping.aborted || !node.status().ready) throw new MeridianError('unavailable', 'not ready')
    return { ready: true as const }
  })
  let document: string | undefined
  routes.read(api.openapi, ({ reply }) => {
    document ??= JSON.stringify(openApi(VERSION))
    return reply.type('application/json').send(document)
  })
  routes.read(api.metrics, ({ reply }) => {
    const text = routes.metrics.text()
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(text)
  })
  routes.read(api.node, async () => nodeView(await node.settled(() => node.status())))
  routes.read(api.peers, async ({ query }) => {
    const { page, cursor } = setPage(await node.knownPeers(), ({ account }) => account, query, LIMITS.api_page)
    return { peers: page, cursor }
  })
  routes.write(api.connect, async ({ address }) => {
    need(await node.connect(address))
    return { status: 200, value: { peer: formatPeerAddress(address), connected: true } }
  })
  routes.read(api.towers, async ({ query }) => {
    const { towers, towerReceiptsRequired } = await node.settled(() => node.status())
    const { page, cursor } = setPage(towers, ({ account }) => account, query, LIMITS.api_page)
    return { towers: page, receipts_required: towerReceiptsRequired, cursor }
  })
}
