/** Some claims shown twice: as the parties see them, and as the wire and the ledger do. */
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { bytesToHex } from '../../base/bytes.js'
import { parseChannelId } from '../../base/ids.js'
import type { ChainAdapter } from '../../base/ports/chain.js'
import { need } from '../../chain-adapter/need.js'
import type { PlannedPayment } from './money.js'
import { type Members, payOne } from './pay.js'
import type { PaymentEnd } from './reconcile.js'

export interface Sample {
  readonly end: PaymentEnd
  /** Hexadecimal: the first bytes, behind the frame's head, that the payer's connection carried for it, and how many. */
  readonly wire: string
  readonly wireBytes: number
  /** Hexadecimal: how the payer's channel, out of which it was paid, stands on the ledger. */
  readonly ledger: string
}

const EXCERPT_BYTES = 12
/** A client's frame of this size has a head of eight bytes, the mask included. */
const FRAME_HEAD_BYTES = 8

/** Paid one at a time and first, so that what moves on the wire is this claim's. */
export async function paySample(
  members: Members,
  payment: PlannedPayment,
  chain: ChainAdapter,
  recordings: string,
): Promise<Sample> {
  const { party, channel } = members.get(payment.payer)!
  const link = party.hub!.name
  const before = await sizes(recordings, link)
  const end = await payOne(members, payment)
  const { value: view } = await chain.channel(need(parseChannelId(channel)))
  const [pool] = view?.poolCiphertexts ?? []
  return {
    end,
    ...(await excerpt(recordings, before, await sizes(recordings, link))),
    ledger: bytesToHex((pool ?? new Uint8Array()).subarray(0, EXCERPT_BYTES)),
  }
}

async function sizes(dir: string, link: string): Promise<Map<string, number>> {
  const names = (await readdir(dir)).filter((name) => name.startsWith(`${link}-`) && name.endsWith('.up'))
  const found = await Promise.all(names.map(async (name) => [name, (await stat(join(dir, name))).size] as const))
  return new Map(found)
}

/** Of the connection that carried most. */
async function excerpt(dir: string, before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>) {
  const grown = [...after].map(([name, size]) => ({
    name,
    from: before.get(name) ?? 0,
    by: size - (before.get(name) ?? 0),
  }))
  const [most] = grown.sort((a, b) => b.by - a.by)
  if (most === undefined) return { wire: '', wireBytes: 0 }
  const file = await open(join(dir, most.name))
  try {
    const bytes = new Uint8Array(EXCERPT_BYTES)
    const { bytesRead } = await file.read(bytes, 0, EXCERPT_BYTES, most.from + FRAME_HEAD_BYTES)
    return { wire: bytesToHex(bytes.subarray(0, bytesRead)), wireBytes: most.by }
  } finally {
    await file.close()
  }
}
