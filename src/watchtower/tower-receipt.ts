/** A tower's signed word (T2) as its client keeps it: whom it binds, what it says, and the file that shows it to others. */
import { z } from 'zod'
import { bytesToHex, hexToBytes } from '../base/bytes.js'
import { curve, parsePoint, type Signature } from '../base/curve/index.js'
import { LIMITS } from '../base/limits.js'
import { type ReceiptParties, receiptDigest, type TowerMessageOf } from '../base/message/tower.js'
import { ok, type Result, refuse } from '../base/result.js'

export type ReceiptBody = TowerMessageOf<'receipt'>

export interface TowerReceipt {
  readonly parties: ReceiptParties
  readonly body: ReceiptBody
}

/** Whether the tower itself signed this to this client, on this ledger. */
export const isReceiptSigned = ({ parties, body }: TowerReceipt): boolean => {
  const key = parsePoint(parties.tower)
  return key.ok && curve.verify(receiptDigest(parties, body), body.signature, key.value)
}

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`))
const zCount = z.int().min(0)
const zFile = z.strictObject({
  format: z.literal('meridian-tower-receipt-1'),
  ledger: hex(32),
  tower: hex(33),
  client: hex(33),
  channel: hex(32),
  version: zCount,
  secrets: zCount,
  height: zCount,
  time: zCount,
  signature: hex(64),
})

/** One line of a receipt file: JSON, bytes in hexadecimal. */
export function formatTowerReceipt({ parties, body }: TowerReceipt): string {
  const { channel, version, secrets, height, time, signature } = body
  return JSON.stringify({
    format: 'meridian-tower-receipt-1',
    ledger: bytesToHex(parties.ledger),
    tower: bytesToHex(parties.tower),
    client: bytesToHex(parties.client),
    channel: bytesToHex(channel),
    version,
    secrets,
    height,
    time,
    signature: bytesToHex(signature),
  } satisfies z.output<typeof zFile>)
}

/** Errors: `tower_receipt_invalid` where it is none, or the tower has not signed it. */
export function parseTowerReceipt(line: string): Result<TowerReceipt> {
  const parsed = line.length > LIMITS.receipt_bytes ? undefined : zFile.safeParse(jsonOf(line))
  if (parsed?.success !== true) return refuse('tower_receipt_invalid', 'form')
  const { ledger, tower, client, channel, version, secrets, height, time, signature } = parsed.data
  const receipt: TowerReceipt = {
    parties: { ledger: hexToBytes(ledger), tower: hexToBytes(tower), client: hexToBytes(client) },
    body: {
      channel: hexToBytes(channel) as ReceiptBody['channel'],
      version,
      secrets,
      height,
      time,
      signature: hexToBytes(signature) as Signature,
    },
  }
  return isReceiptSigned(receipt) ? ok(receipt) : refuse('tower_receipt_invalid', 'signature')
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the parser's message quotes the file
  }
}
