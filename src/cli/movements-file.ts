import { type FileHandle, open, rename } from 'node:fs/promises'
import { formatDecimal } from '../base/amount.js'
import { idText } from '../base/ids.js'
import type { PlacedMovement } from '../chain-adapter/audit/audit.js'

const HEADER = 'block,time,transaction,kind,from,to,channel,amount\n'
const FLUSH_CHARACTERS = 65_536

/** An audit's movements as CSV, exact decimals, readable by its owner only; under its name once it is whole. */
export class MovementsFile {
  #text = HEADER

  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
  ) {}

  static async create(path: string): Promise<MovementsFile> {
    return new MovementsFile(path, await open(draftOf(path), 'w', 0o600))
  }

  async add({ block, time, transaction, kind, from, to, channel, amount }: PlacedMovement): Promise<void> {
    const ids = [from, to, channel].map((id) => (id === null ? '' : idText(id)))
    this.#text += `${[block, time, transaction, kind, ...ids, formatDecimal(amount)].join(',')}\n`
    if (this.#text.length >= FLUSH_CHARACTERS) await this.#flush()
  }

  async finish(): Promise<void> {
    await this.#flush()
    await rename(draftOf(this.path), this.path)
  }

  close(): Promise<void> {
    return this.file.close()
  }

  async #flush(): Promise<void> {
    await this.file.appendFile(this.#text)
    this.#text = ''
  }
}

const draftOf = (path: string): string => `${path}.partial`
