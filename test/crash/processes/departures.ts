/**
 * What left a node, remembered outside of the directory that may lose power: each signature of a state and each revoked
 * version, written down before the message is sent. A start is held against it (C6, C7): what left must be on disk.
 */
import { openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import { bytesToHex } from '../../../src/base/bytes.js'
import type { Revocation } from '../../../src/base/message/channel.js'
import { type NodeMessage, nodeCodec } from '../../../src/node/messages.js'
import { storedChannels } from '../../../src/node/stored-channel.js'
import type { DataDirectory } from '../../../src/store/directory.js'

/** Of one channel: the newest version signed, and the secrets of all versions below `revoked`. */
interface Left {
  version: number
  signature: string
  revoked: number
}

export class Departures {
  readonly #left = new Map<string, Left>()
  readonly #broken: string[] = []
  #fd: number

  constructor(path: string) {
    for (const line of linesOf(path)) this.#take(line)
    const draft = `${path}.new`
    writeFileSync(draft, this.#lines())
    renameSync(draft, path)
    this.#fd = openSync(path, 'a')
  }

  /** From now on every message is written down before it leaves. */
  watch(): void {
    const encode = nodeCodec.encode
    nodeCodec.encode = (message) => {
      this.#sent(message)
      return encode(message)
    }
  }

  /** @returns the clauses that the directory breaks. */
  async held(directory: DataDirectory): Promise<string[]> {
    const broken = [...this.#broken]
    for await (const { terms, row, fault } of storedChannels(directory)) {
      if (fault !== null) broken.push(`S2 ${fault}`)
      const left = this.#left.get(bytesToHex(terms.channel))
      if (row === undefined || left === undefined) continue
      const { signed, revoked } = row.state
      if (signed.version < left.version)
        broken.push(`C6 version ${left.version} was signed, ${signed.version} is stored`)
      if (revoked < left.revoked) broken.push(`C6 secrets below ${left.revoked} left, ${revoked} are stored`)
    }
    return broken
  }

  #sent({ name, body }: NodeMessage): void {
    switch (name) {
      case 'commit':
        this.#signed(body.channel, body.version, body.signature)
        if (body.revocation !== null) this.#revoked(body.channel, body.revocation)
        break
      case 'ack':
        this.#signed(body.channel, body.version, body.signature)
        this.#revoked(body.channel, body.revocation)
        break
      case 'revoke':
        this.#revoked(body.channel, body.revocation)
        break
      default:
    }
  }

  #signed(channel: Uint8Array, version: number, signature: Uint8Array): void {
    this.#write(`signed ${bytesToHex(channel)} ${version} ${bytesToHex(signature)}`)
  }

  #revoked(channel: Uint8Array, { version }: Revocation): void {
    this.#write(`revoked ${bytesToHex(channel)} ${version + 1}`)
  }

  #write(line: string): void {
    writeSync(this.#fd, `${line}\n`)
    this.#take(line)
  }

  /** Signatures are deterministic: another one of the same version is another content (C7). */
  #take(line: string): void {
    const [what, channel, number, signature] = line.split(' ')
    if (channel === undefined || number === undefined) return // the end of a line that a kill cut off
    const left = this.#left.get(channel) ?? { version: -1, signature: '', revoked: 0 }
    this.#left.set(channel, left)
    const value = Number(number)
    if (what === 'revoked') left.revoked = Math.max(left.revoked, value)
    else if (value === left.version && signature !== left.signature)
      this.#broken.push(`C7 two contents of version ${value}`)
    else if (value > left.version) Object.assign(left, { version: value, signature })
  }

  #lines(): string {
    const lines = [...this.#left].flatMap(([channel, { version, signature, revoked }]) => [
      `signed ${channel} ${version} ${signature}`,
      `revoked ${channel} ${revoked}`,
    ])
    return lines.map((line) => `${line}\n`).join('')
  }
}

function linesOf(path: string): string[] {
  try {
    const text = readFileSync(path, 'utf8')
    return text.slice(0, text.lastIndexOf('\n') + 1).split('\n')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}
