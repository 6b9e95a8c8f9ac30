/** The leak search's control: an amount planted on a copy of each medium must be found by the same search. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Amount, amountToBytes } from '../../base/amount.js'
import { utf8 } from '../../base/bytes.js'
import { cbor } from '../../base/codec.js'
import { MeridianError } from '../../base/errors.js'
import { openLevelStore } from '../../store/level.js'
import { type Medium, type Place, searchLeaks } from './leak-search.js'

export interface ControlOptions {
  /** A canary, from 2^40 on: long enough for every kind of pattern. */
  readonly amount: Amount
  /** A directory with the ledger's LevelDB somewhere in it, closed. */
  readonly ledger: string
  /** A recording of the relay: a `.up` file of a WebSocket. */
  readonly recording: string
  /** A node's directory with its LevelDB somewhere in it, closed. */
  readonly disk: string
}

/**
 * Plants the amount in a ledger field, in an unencrypted frame and in an unsealed row, in copies under a temporary
 * directory that is removed again.
 * @returns the media on which it was found after planting and not before: all three, or the search is blind.
 */
export async function plantAndFind(options: ControlOptions): Promise<Medium[]> {
  const scratch = await mkdtemp(join(tmpdir(), 'meridian-control-'))
  try {
    const plants: [Place, string, (copy: string) => Promise<void>][] = [
      [{ medium: 'ledger', path: options.ledger }, 'ledger', (copy) => plantField(copy, options.amount)],
      [{ medium: 'wire', path: options.recording }, 'recording.up', (copy) => plantFrame(copy, options.amount)],
      [{ medium: 'disk', path: options.disk }, 'disk', (copy) => plantRow(copy, options.amount)],
    ]
    const found: Medium[] = []
    for (const [{ medium, path }, name, plant] of plants) {
      const copy = join(scratch, name)
      await cp(path, copy, { recursive: true })
      const count = async () => (await searchLeaks([options.amount], [{ medium, path: copy }])).found
      const before = await count()
      await plant(copy)
      if (before === 0 && (await count()) > 0) found.push(medium)
    }
    return found
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** As a transaction would carry it that forgot to encrypt: canonical CBOR, eight bytes. */
const plantField = (dir: string, amount: Amount): Promise<void> =>
  writeRow(dir, 'planted/field', cbor({ kind: 'planted', amount: amountToBytes(amount) }))

/** As a store would keep it that forgot to seal: JSON text. */
const plantRow = (dir: string, amount: Amount): Promise<void> =>
  writeRow(dir, 'planted/row', utf8(JSON.stringify({ amount_minor: amount.toString() })))

/** As a peer would send it that forgot Noise: a masked client frame behind the upgrade's head. */
async function plantFrame(file: string, amount: Amount): Promise<void> {
  const bytes = await readFile(file)
  const head = bytes.indexOf('\r\n\r\n') + 4
  if (!/^GET .*^upgrade: *websocket/ims.test(bytes.toString('latin1', 0, head))) {
    throw new MeridianError('bad_encoding', 'not the recording of a WebSocket client')
  }
  const message = Buffer.concat([Uint8Array.of(0, 32), cbor({ amount: amountToBytes(amount) })])
  const mask = [0x5a, 0xc3, 0x0f, 0x96]
  const frame = Uint8Array.of(0x82, 0x80 | message.length, ...mask, ...message.map((byte, i) => byte ^ mask[i & 3]!))
  await writeFile(file, Buffer.concat([bytes.subarray(0, head), frame, bytes.subarray(head)]))
}

async function writeRow(dir: string, key: string, value: Uint8Array): Promise<void> {
  const store = await openLevelStore(await databaseUnder(dir))
  if (!store.ok) throw new MeridianError(store.error.code, store.error.detail)
  await store.value.write({ puts: [{ key: utf8(key), value }], deletes: [] })
  await store.value.close()
}

/** The first LevelDB at or under `dir`: where a file CURRENT stands. */
async function databaseUnder(dir: string): Promise<string> {
  const entries = await readdir(dir, { recursive: true })
  const current = entries.filter((name) => /(^|[\\/])CURRENT$/.test(name)).sort()[0]
  if (current === undefined) throw new MeridianError('store_missing', dir)
  return dirname(join(dir, current))
}
