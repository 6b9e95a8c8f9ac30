/**
 * Deterministic CBOR (RFC 8949 §4.2) of the few kinds of values that the protocol has: integers that are safe numbers, byte
 * strings, texts, arrays, objects, booleans and null. Written for its speed (each message and each row goes through it) and for
 * one encoding per value: what is not in it is refused while reading, so nothing needs to be encoded again to compare.
 */
import { bufferOf, utf8 } from './bytes.js'
import { ok, type Result, refuse } from './result.js'

const UINT = 0
const NEGATIVE = 1
const BYTES = 2
const TEXT = 3
const ARRAY = 4
const MAP = 5
const SIMPLE = 7

const FALSE = 20
const TRUE = 21
const NULL = 22
const UNDEFINED = 23

/** Shapes of objects whose sorted keys are kept. */
const SHAPES_MAX = 1_024
/** Between the keys in a shape's name; a shape with a key that holds it is not kept. */
const SEPARATOR = '\0'

// ---- writing

let out = new Uint8Array(65_536)
let at = 0

/** @throws TypeError for a value that CBOR has no place for here: a defect of the caller. */
export function encodeCbor(value: unknown): Uint8Array {
  at = 0
  writeItem(value)
  return out.slice(0, at)
}

function reserve(length: number): void {
  if (at + length <= out.length) return
  const larger = new Uint8Array(2 * (at + length))
  larger.set(out.subarray(0, at))
  out = larger
}

function writeItem(value: unknown): undefined {
  switch (typeof value) {
    case 'number':
      if (!Number.isSafeInteger(value)) throw new TypeError('cbor: not a safe integer')
      return value < 0 ? writeHead(NEGATIVE, -1 - value) : writeHead(UINT, value)
    case 'string':
      return writeText(value)
    case 'boolean':
      return writeHead(SIMPLE, value ? TRUE : FALSE)
    case 'undefined':
      return writeHead(SIMPLE, UNDEFINED) // hashed in places, never read back
    case 'object':
      if (value === null) return writeHead(SIMPLE, NULL)
      if (value instanceof Uint8Array) return writeBytes(BYTES, value)
      return Array.isArray(value) ? writeArray(value) : writeObject(value as Readonly<Record<string, unknown>>)
    default:
      throw new TypeError(`cbor: ${typeof value}`)
  }
}

/** The shortest form of major type and argument. */
function writeHead(major: number, argument: number): undefined {
  reserve(9)
  const type = major << 5
  if (argument < 24) {
    out[at++] = type | argument
  } else if (argument < 0x100) {
    out[at++] = type | 24
    out[at++] = argument
  } else if (argument < 0x1_0000) {
    out[at++] = type | 25
    out[at++] = argument >> 8
    out[at++] = argument
  } else {
    const long = argument >= 0x1_0000_0000
    out[at++] = type | (long ? 27 : 26)
    if (long) writeWord(Math.floor(argument / 0x1_0000_0000))
    writeWord(argument % 0x1_0000_0000)
  }
}

function writeWord(word: number): void {
  out[at++] = word >>> 24
  out[at++] = word >>> 16
  out[at++] = word >>> 8
  out[at++] = word
}

function writeBytes(major: number, bytes: Uint8Array): undefined {
  writeHead(major, bytes.length)
  reserve(bytes.length)
  out.set(bytes, at)
  at += bytes.length
}

const SHORT_TEXT = 128

function writeText(text: string): undefined {
  if (text.length > SHORT_TEXT) return writeBytes(TEXT, utf8(text))
  const start = at
  writeHead(TEXT, text.length)
  reserve(text.length)
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code > 0x7f) {
      at = start
      return writeBytes(TEXT, utf8(text))
    }
    out[at++] = code
  }
}

function writeArray(items: readonly unknown[]): undefined {
  writeHead(ARRAY, items.length)
  for (const item of items) writeItem(item)
}

interface Shape {
  readonly keys: readonly string[]
  readonly encoded: readonly Uint8Array[]
}

const shapes = new Map<string, Shape>()

function writeObject(object: Readonly<Record<string, unknown>>): undefined {
  const names = Object.keys(object)
  const { keys, encoded } = shapeOf(names)
  writeHead(MAP, names.length)
  for (let index = 0; index < keys.length; index++) {
    const key = encoded[index]!
    reserve(key.length)
    out.set(key, at)
    at += key.length
    writeItem(object[keys[index]!])
  }
}

/** Objects of one kind have the same keys in the same order: they are sorted and encoded once. */
function shapeOf(names: readonly string[]): Shape {
  const name = names.join(SEPARATOR)
  const known = shapes.get(name)
  if (known !== undefined && known.keys.length === names.length) return known
  const sorted = names.map((key) => ({ key, bytes: encodedText(key) })).sort((a, b) => order(a.bytes, b.bytes))
  const shape = { keys: sorted.map(({ key }) => key), encoded: sorted.map(({ bytes }) => bytes) }
  if (shapes.size >= SHAPES_MAX) shapes.clear()
  if (names.every((key) => !key.includes(SEPARATOR))) shapes.set(name, shape)
  return shape
}

/** Leaves what is being written as it is. */
function encodedText(text: string): Uint8Array {
  const start = at
  writeText(text)
  const encoded = out.slice(start, at)
  at = start
  return encoded
}

/** Bytewise order of whole encodings: a shorter text has the smaller head. */
function order(a: Uint8Array, b: Uint8Array): number {
  for (let index = 0; index < a.length && index < b.length; index++) {
    const difference = a[index]! - b[index]!
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

// ---- reading

/** Errors: `bad_encoding` for whatever `encodeCbor` does not write, or deeper than `depthMax` (empty ones do not count). */
export function decodeCbor(bytes: Uint8Array, depthMax: number): Result<unknown> {
  const reader = new Reader(bytes, depthMax)
  const value = reader.item(0)
  return reader.failed || reader.at !== bytes.length ? refuse('bad_encoding', 'cbor') : ok(value)
}

const KEY_BYTES_MAX = 32
/** A power of two. A key that meets another at its place takes it: whatever is read, no more are kept. */
const KEYS_MAX = 1_024
const keys: (string | undefined)[] = new Array(KEYS_MAX)

const fatalText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const EMPTY = new Uint8Array()

/** The first thing that is wrong makes `failed` true; what is read from then on is void. */
class Reader {
  at = 0
  failed = false
  readonly #latin: Buffer

  constructor(
    private readonly bytes: Uint8Array,
    private readonly depthMax: number,
  ) {
    this.#latin = bufferOf(bytes)
  }

  item(depth: number): unknown {
    const first = this.bytes[this.at]
    if (first === undefined) return this.#fail()
    this.at += 1
    const major = first >> 5
    if (major === SIMPLE) return this.#simple(first & 31)
    const argument = this.#argument(first & 31)
    if (this.failed) return undefined
    switch (major) {
      case UINT:
        return argument
      case NEGATIVE:
        return argument === Number.MAX_SAFE_INTEGER ? this.#fail() : -1 - argument
      case BYTES:
        return this.#take(argument)
      case TEXT:
        return this.#text(argument)
      case ARRAY:
        return this.#array(argument, depth)
      case MAP:
        return this.#map(argument, depth)
      default:
        return this.#fail() // a tag
    }
  }

  #fail(): undefined {
    this.failed = true
  }

  #simple(value: number): boolean | null | undefined {
    if (value === NULL) return null
    return value === TRUE || value === FALSE ? value === TRUE : this.#fail()
  }

  /** Only in its shortest form, and only what is a safe integer. */
  #argument(short: number): number {
    if (short < 24) return short
    const size = 1 << (short - 24)
    if (short > 27 || this.at + size > this.bytes.length) {
      this.failed = true
      return 0
    }
    let value = 0
    for (let index = 0; index < size; index++) value = value * 256 + this.bytes[this.at + index]!
    this.at += size
    const least = size === 1 ? 24 : 2 ** (4 * size)
    if (value < least || value > Number.MAX_SAFE_INTEGER) this.failed = true
    return value
  }

  /** A copy: what is read does not hold on to the message. */
  #take(length: number): Uint8Array {
    const end = this.at + length
    if (end > this.bytes.length) {
      this.failed = true
      return EMPTY
    }
    const part = Uint8Array.prototype.slice.call(this.bytes, this.at, end)
    this.at = end
    return part.constructor === Uint8Array ? part : new Uint8Array(part)
  }

  #text(length: number): string {
    const start = this.at
    const end = start + length
    if (end > this.bytes.length) {
      this.failed = true
      return ''
    }
    this.at = end
    for (let index = start; index < end; index++) if (this.bytes[index]! >= 0x80) return this.#unicode(start, end)
    return this.#latin.toString('latin1', start, end)
  }

  #unicode(start: number, end: number): string {
    try {
      return fatalText.decode(this.bytes.subarray(start, end))
    } catch {
      this.failed = true // TextDecoder's only way to say that it is no UTF-8
      return ''
    }
  }

  #array(length: number, depth: number): unknown[] {
    const items: unknown[] = []
    if (length > 0 && !this.#mayHold(length, depth)) return items
    for (let index = 0; index < length && !this.failed; index++) items.push(this.item(depth + 1))
    return items
  }

  #map(length: number, depth: number): Record<string, unknown> {
    const object: Record<string, unknown> = {}
    if (length > 0 && !this.#mayHold(2 * length, depth)) return object
    let before = -1
    for (let index = 0; index < length && !this.failed; index++) {
      const start = this.at
      const key = this.#key()
      if (before >= 0 && !this.#rises(before, start)) this.failed = true
      before = start
      object[key] = this.item(depth + 1)
    }
    return object
  }

  /** Whether the key at `next` comes after the one at `before`, in `order`; heads say lengths, so neither runs on. */
  #rises(before: number, next: number): boolean {
    for (let index = 0; next + index < this.at; index++) {
      const difference = this.bytes[next + index]! - this.bytes[before + index]!
      if (difference !== 0) return difference > 0
    }
    return false
  }

  #key(): string {
    const first = this.bytes[this.at] ?? 0
    this.at += 1
    const length = this.#argument(first & 31)
    if (first >> 5 !== TEXT || this.at + length > this.bytes.length) this.failed = true
    if (this.failed) return ''
    const key = this.#knownKey(this.at, length) ?? this.#text(length)
    if (key === '__proto__') this.failed = true // no object of ours has it, and assigning it is no field
    return key
  }

  /** The same few keys come again and again: a text that is made costs more than one that is found. */
  #knownKey(start: number, length: number): string | undefined {
    if (length > KEY_BYTES_MAX) return undefined
    let hash = length
    for (let index = 0; index < length; index++) hash = (Math.imul(hash, 31) + this.bytes[start + index]!) | 0
    const place = hash & (KEYS_MAX - 1)
    const known = keys[place]
    if (known !== undefined && known.length === length && this.#is(known, start)) {
      this.at = start + length
      return known
    }
    const key = this.#text(length)
    if (key.length === length) keys[place] = key // ASCII alone: a character is a byte
    return key
  }

  #is(key: string, start: number): boolean {
    for (let index = 0; index < key.length; index++) {
      if (key.charCodeAt(index) !== this.bytes[start + index]) return false
    }
    return true
  }

  /** Each item takes a byte at least, so a short message cannot ask for much. */
  #mayHold(items: number, depth: number): boolean {
    if (depth >= this.depthMax || items > this.bytes.length - this.at) this.failed = true
    return !this.failed
  }
}
