import { MeridianError } from '../../base/errors.js'
import { need } from '../../chain-adapter/need.js'
import { formatPeerAddress } from '../../wire/address.js'
import type { Routes } from '../server.js'
import { nodeView } from '../views.js'

export function addNodeRoutes({ app, node, bodies, stopping, write }: Routes): void {
  app.get('/healthz', { config: { open: true } }, async () => ({ ok: true }))
  app.get('/readyz', { config: { open: true } }, async () => {
    if (stopping.aborted || !node.status().ready) throw new MeridianError('unavailable', 'not ready')
    return { ready: true }
  })
  app.get('/v1/node', async () => nodeView(await node.settled(() => node.status())))
  app.get('/v1/peers', async () => ({ peers: await node.knownPeers() }))
  write('/v1/peers', bodies.peer, async ({ address }) => {
    need(await node.connect(address))
    return { status: 200, value: { peer: formatPeerAddress(address), connected: true } }
  })
}
