import type { Command } from 'commander'
import { ask, type NodeVerbOptions, nodeVerb, type WriteVerbOptions, write, writeVerb } from '../node-verb.js'
import { columns } from '../output.js'
import { group } from '../verb.js'

export const peerVerb = (): Command =>
  group('peer', 'whom the node is connected to, and dials after every start', [connectVerb, listVerb])

/** C8: how a node whose database forgot where a peer is meets it again, and closes what it has with it. */
const connectVerb = (): Command =>
  writeVerb('connect', 'connect a peer, now and after every start: one that has moved, or was forgotten')
    .argument('<peer>', 'account@ws://host:port, as `start` of its node prints it')
    .action((address: string, options: WriteVerbOptions) =>
      write(options, async ({ api, out }, key) => {
        const { peer } = await api.connect(key, address)
        out.print(`connected ${peer}`, { peer, key })
      }),
    )

const listVerb = (): Command => nodeVerb('list', 'account, address, whether it is connected').action(list)

async function list(options: NodeVerbOptions): Promise<void> {
  const { api, out } = await ask(options)
  const { peers } = await api.peers()
  if (out.json) {
    for (const peer of peers) out.print('', peer)
    return
  }
  const rows = peers.map(({ account, url, connected }) => [
    account,
    url ?? 'dials us',
    connected ? 'connected' : 'away',
  ])
  out.print(columns([['account', 'address', ''], ...rows]), {})
}
