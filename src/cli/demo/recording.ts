/** What a recorded TCP stream carries: HTTP bodies and unmasked WebSocket messages, whichever direction it is (RFC 6455, 9112). */
import { brotliDecompressSync, unzipSync } from 'node:zlib'

const HEAD_BYTES_MAX = 65_536
/** A compressed body is inflated as a whole. */
const BODY_BYTES_MAX = 64 << 20
const HEAD_END = Buffer.from('\r\n\r\n')

interface Body {
  /** Undefined: until the stream ends. */
  readonly length: number | undefined
  readonly chunked: boolean
  readonly encoding: string
}

type State =
  | { readonly kind: 'head' }
  | { readonly kind: 'body'; left: number; readonly last: boolean }
  | { readonly kind: 'chunk-size' }
  | { readonly kind: 'trailer' }
  | { readonly kind: 'frame-head' }
  | { readonly kind: 'frame'; left: number; readonly mask: Uint8Array; phase: number; readonly final: boolean }
  | { readonly kind: 'opaque' }

export interface PayloadSink {
  /** The next bytes of the current message or body. */
  bytes(piece: Uint8Array): void
  messageEnd(): void
}

/** Pushed the raw stream in pieces of any size. What it cannot read makes it `opaque`: only the raw bytes are searched then. */
export class RecordingReader {
  readonly #sink: PayloadSink
  #state: State = { kind: 'head' }
  #buffer: Buffer = Buffer.alloc(0)
  #encoded: { readonly encoding: string; readonly pieces: Uint8Array[]; bytes: number } | undefined

  constructor(sink: PayloadSink) {
    this.#sink = sink
  }

  get opaque(): boolean {
    return this.#state.kind === 'opaque'
  }

  push(piece: Uint8Array): void {
    if (this.opaque) return
    this.#buffer = this.#buffer.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#buffer, piece])
    while (this.#step());
  }

  end(): void {
    if (this.#state.kind === 'body') this.#bodyEnd()
  }

  /** @returns whether to go on. */
  #step(): boolean {
    const state = this.#state
    switch (state.kind) {
      case 'head':
        return this.#head()
      case 'body':
        return this.#body(state)
      case 'chunk-size':
        return this.#chunkSize()
      case 'trailer':
        return this.#trailer()
      case 'frame-head':
        return this.#frameHead()
      case 'frame':
        return this.#frame(state)
      case 'opaque':
        this.#buffer = Buffer.alloc(0)
        return false
    }
  }

  #giveUp(): boolean {
    this.#state = { kind: 'opaque' }
    return true
  }

  #take(length: number): Buffer {
    const taken = this.#buffer.subarray(0, length)
    this.#buffer = this.#buffer.subarray(length)
    return taken
  }

  #head(): boolean {
    const end = this.#buffer.indexOf(HEAD_END)
    if (end < 0) return this.#buffer.length > HEAD_BYTES_MAX && this.#giveUp()
    const head = this.#take(end + HEAD_END.length).toString('latin1')
    const response = /^HTTP\/1\.[01] (\d{3})/.exec(head)
    if (response === null && !/^[A-Z]+ \S+ HTTP\/1\.[01]\r\n/.test(head)) return this.#giveUp()
    if (/^upgrade: *websocket/im.test(head) && (response === null || response[1] === '101')) {
      this.#state = { kind: 'frame-head' }
      return true
    }
    this.#enterBody(bodyOf(head, response?.[1]))
    return true
  }

  #enterBody(body: Body): void {
    this.#encoded = body.encoding === '' ? undefined : { encoding: body.encoding, pieces: [], bytes: 0 }
    if (body.chunked) this.#state = { kind: 'chunk-size' }
    else if (body.length === 0) this.#state = { kind: 'head' }
    else this.#state = { kind: 'body', left: body.length ?? Number.POSITIVE_INFINITY, last: true }
  }

  #body(state: Extract<State, { kind: 'body' }>): boolean {
    if (this.#buffer.length === 0) return false
    const piece = this.#take(Math.min(state.left, this.#buffer.length))
    state.left -= piece.length
    this.#emitBody(piece)
    if (state.left > 0 || this.opaque) return this.opaque
    if (state.last) {
      this.#bodyEnd()
      this.#state = this.opaque ? this.#state : { kind: 'head' }
    } else {
      this.#state = { kind: 'chunk-size' }
    }
    return true
  }

  #chunkSize(): boolean {
    if (this.#buffer.length >= 2 && this.#buffer[0] === 13) this.#take(2) // the end of the chunk before
    const end = this.#buffer.indexOf('\r\n')
    if (end < 0) return this.#buffer.length > 1_024 && this.#giveUp()
    const size = /^([0-9a-fA-F]{1,8})\s*(?:;|$)/.exec(this.#take(end + 2).toString('latin1', 0, end))
    if (size === null) return this.#giveUp()
    const left = Number.parseInt(size[1]!, 16)
    this.#state = left === 0 ? { kind: 'trailer' } : { kind: 'body', left, last: false }
    return true
  }

  #trailer(): boolean {
    const end = this.#buffer.indexOf('\r\n')
    if (end < 0) return this.#buffer.length > HEAD_BYTES_MAX && this.#giveUp()
    this.#take(end + 2)
    if (end > 0) return true
    this.#bodyEnd()
    if (!this.opaque) this.#state = { kind: 'head' }
    return true
  }

  #emitBody(piece: Uint8Array): void {
    if (this.#encoded === undefined) {
      this.#sink.bytes(piece)
      return
    }
    this.#encoded.pieces.push(piece)
    this.#encoded.bytes += piece.length
    if (this.#encoded.bytes > BODY_BYTES_MAX) this.#giveUp()
  }

  #bodyEnd(): void {
    const encoded = this.#encoded
    this.#encoded = undefined
    if (encoded !== undefined && encoded.bytes > 0) {
      const plain = inflate(encoded.encoding, Buffer.concat(encoded.pieces))
      if (plain === undefined) this.#giveUp()
      else this.#sink.bytes(plain)
    }
    this.#sink.messageEnd()
  }

  #frameHead(): boolean {
    const bytes = this.#buffer
    if (bytes.length < 2) return false
    const short = bytes[1]! & 127
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0
    const maskBytes = bytes[1]! & 128 ? 4 : 0
    if (bytes.length < 2 + lengthBytes + maskBytes) return false
    if (bytes[0]! & 0x70) return this.#giveUp() // a compression that nobody here negotiates
    const left =
      short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2) & 0xffffffffffffn) : short
    const head = this.#take(2 + lengthBytes + maskBytes)
    const mask = maskBytes === 0 ? new Uint8Array(4) : new Uint8Array(head.subarray(2 + lengthBytes))
    this.#state = { kind: 'frame', left, mask, phase: 0, final: (head[0]! & 0x80) !== 0 }
    return true
  }

  #frame(state: Extract<State, { kind: 'frame' }>): boolean {
    if (state.left > 0) {
      if (this.#buffer.length === 0) return false
      const piece = new Uint8Array(this.#take(Math.min(state.left, this.#buffer.length)))
      for (let i = 0; i < piece.length; i++) piece[i] = piece[i]! ^ state.mask[(state.phase + i) & 3]!
      state.phase = (state.phase + piece.length) & 3
      state.left -= piece.length
      this.#sink.bytes(piece)
      if (state.left > 0) return false
    }
    if (state.final) this.#sink.messageEnd()
    this.#state = { kind: 'frame-head' }
    return true
  }
}

function bodyOf(head: string, status: string | undefined): Body {
  const field = (name: string): string =>
    new RegExp(`^${name}: *([^\\r\\n]*?) *\\r$`, 'im').exec(head)?.[1]?.toLowerCase() ?? ''
  const declared = field('content-encoding')
  const encoding = declared === 'identity' ? '' : declared
  if (field('transfer-encoding').endsWith('chunked')) return { length: undefined, chunked: true, encoding }
  if (status !== undefined && (status.startsWith('1') || status === '204' || status === '304')) {
    return { length: 0, chunked: false, encoding: '' }
  }
  const length = field('content-length')
  if (/^\d{1,15}$/.test(length)) return { length: Number(length), chunked: false, encoding }
  return { length: status === undefined ? 0 : undefined, chunked: false, encoding }
}

/** @returns undefined for an encoding that is not known or does not fit. */
function inflate(encoding: string, bytes: Uint8Array): Uint8Array | undefined {
  const options = { maxOutputLength: BODY_BYTES_MAX }
  try {
    if (encoding === 'gzip' || encoding === 'deflate') return unzipSync(bytes, options)
    return encoding === 'br' ? brotliDecompressSync(bytes, options) : undefined
  } catch {
    return undefined // a cut recording: its reader turns opaque, which the report counts
  }
}
