/** The client of one tower against a link and a clock in the test's hands: what it asks, believes and repeats. */
import t from 'tap'
import { u64, utf8 } from '../../src/base/bytes.js'
import { curve, type Scalar, type Signature } from '../../src/base/curve/index.js'
import { prfScalar, sha256 } from '../../src/base/digest.js'
import type { ErrorCode } from '../../src/base/errors.js'
import type { ChannelId, LedgerId } from '../../src/base/ids.js'
import { LIMITS } from '../../src/base/limits.js'
import {
  jobReceiptDigest,
  receiptDigest,
  TOWER_REQUEST_TYPES,
  type TowerAnswer,
  type TowerMessage,
  type TowerMessageOf,
  type TowerRequest,
  towerCodec,
} from '../../src/base/message/tower.js'
import { EMPTY_STORE, insertSecret, type RevocationStore, revocationSecret } from '../../src/channel/revocation.js'
import { type ClientEvents, type Held, TowerClient, type Watched } from '../../src/watchtower/client.js'
import type { TowerLinkOptions, TowerSession } from '../../src/watchtower/link.js'
import { formatTowerReceipt, parseTowerReceipt, type ReceiptBody } from '../../src/watchtower/tower-receipt.js'
import { silent, type Timers } from '../../src/wire/environment.js'

const keyOf = (name: string): Scalar => prfScalar(sha256(utf8(name)), 'role')
const accountOf = (name: string) => curve.multiplyBase(keyOf(name))
const channelOf = (name: string) => sha256(utf8(name)) as Uint8Array as ChannelId
const ledger = sha256(utf8('ledger')) as Uint8Array as LedgerId
const parties = { ledger, tower: accountOf('tower'), client: accountOf('alice') }
const SEED = sha256(utf8('bob'))
const SIGNATURE = curve.sign(sha256(utf8('state')), keyOf('alice'))

function storeOf(count: number): RevocationStore {
  let store = EMPTY_STORE
  for (let version = 0; version < count; version++) store = insertSecret(store, revocationSecret(SEED, version))!
  return store
}

const stateOf = (name: string, version: number, secrets = version): Watched => ({
  channel: channelOf(name),
  version,
  state: u64(version),
  signatures: [SIGNATURE, SIGNATURE],
  secrets: storeOf(secrets),
})

const signed = (body: Omit<ReceiptBody, 'signature'>, key = keyOf('tower'), bound = parties): TowerAnswer => ({
  name: 'receipt',
  body: { ...body, signature: curve.sign(receiptDigest(bound, body), key) },
})

/** One client, its link and its clock. */
class Bench implements ClientEvents {
  readonly asked: TowerRequest[] = []
  readonly receipts: ReceiptBody[] = []
  readonly answers: Held[] = []
  readonly jobs: Uint8Array[] = []
  readonly refused: Uint8Array[] = []
  readonly gone: Uint8Array[] = []
  ended: ErrorCode | undefined
  now = 0
  #due: { readonly at: number; readonly task: () => void }[] = []
  #link: TowerLinkOptions | undefined
  #say: (message: TowerMessage) => void = () => undefined
  #close: (reason: ErrorCode) => void = () => undefined
  readonly timers: Timers = {
    now: () => this.now,
    seconds: () => 0,
    soon: (task) => task(),
    after: (ms, task) => {
      const due = { at: this.now + ms, task }
      this.#due.push(due)
      return () => {
        this.#due = this.#due.filter((one) => one !== due)
      }
    },
  }
  readonly client = new TowerClient({
    tower: { account: parties.tower, url: 'ws://tower:1' },
    parties,
    delegation: SIGNATURE,
    events: this,
    logger: silent,
    timers: this.timers,
    random: () => 0,
  })

  constructor() {
    this.client.start((options) => {
      this.#link = options
      return { close: () => undefined }
    })
  }

  registered = (_channel: ChannelId, held: Held) => void this.answers.push(held)
  receipt = (body: ReceiptBody) => void this.receipts.push(body)
  job = (id: Uint8Array) => void this.jobs.push(id)
  jobRefused = (id: Uint8Array) => void this.refused.push(id)
  jobCancelled = (id: Uint8Array) => void this.gone.push(id)

  connect(): void {
    this.ended = undefined
    const session: TowerSession = {
      send: (message) => void this.asked.push(message),
      onMessage: (handler) => {
        this.#say = handler
      },
      onClose: (handler) => {
        this.#close = handler
      },
      fail: (code) => this.cut(code),
    }
    this.#link!.onSession(session)
  }

  cut(code: ErrorCode = 'connection_closed'): void {
    this.ended = code
    this.#close(code)
  }

  say(answer: TowerAnswer): void {
    this.#say(answer)
  }

  pass(ms: number): void {
    this.now += ms
    for (const due of this.#due.filter(({ at }) => at <= this.now)) {
      this.#due = this.#due.filter((one) => one !== due)
      due.task()
    }
  }

  /** The questions since the last look. */
  take(): TowerRequest[] {
    return this.asked.splice(0)
  }

  /** Registers what was asked for, with what the tower holds. */
  register(held: Held = { version: null, secrets: 0 }): void {
    for (const one of this.take()) {
      if (one.name === 'register') this.say({ name: 'registered', body: { channel: one.body.channel, ...held } })
    }
  }

  /** Watches a channel up to its first appointment. */
  appointed(name: string, version = 3): TowerMessageOf<'appointment'> {
    this.client.watch(channelOf(name), undefined)
    this.client.update(stateOf(name, version))
    this.register()
    const [asked] = this.take()
    if (asked?.name !== 'appointment') throw new Error('no appointment')
    return asked.body
  }

  refuse(request: keyof typeof TOWER_REQUEST_TYPES, channel: ChannelId | null, code: ErrorCode): void {
    const body = {
      request: TOWER_REQUEST_TYPES[request],
      channel: channel as ReceiptBody['channel'] | null,
      job: null,
      code,
    }
    this.say({ name: 'towerRefused', body })
  }
}

const right = (body: TowerMessageOf<'appointment'>, version = 3, secrets = version) => ({
  channel: body.channel,
  version,
  secrets,
  height: 7,
  time: 1_007,
})

t.test('a right receipt counts once, and nothing more is asked', (t) => {
  const bench = new Bench()
  bench.connect()
  const given = bench.appointed('one')
  t.equal(bench.client.status().behind, 1)
  bench.say(signed(right(given)))
  t.match(bench.receipts, [{ version: 3, secrets: 3, height: 7 }])
  t.same(bench.take(), [])
  t.match(bench.client.status(), { behind: 0, code: null })
  t.end()
})

t.test('a wrong receipt counts for nothing, ends the connection and is told', (t) => {
  const wrong: Record<string, (body: TowerMessageOf<'appointment'>) => TowerAnswer> = {
    'signed by another key': (body) => signed(right(body), keyOf('mallory')),
    'bound to another tower': (body) => signed(right(body), keyOf('tower'), { ...parties, tower: accountOf('other') }),
    'bound to another client': (body) => signed(right(body), keyOf('tower'), { ...parties, client: accountOf('bob') }),
    'of another ledger': (body) =>
      signed(right(body), keyOf('tower'), { ...parties, ledger: channelOf('x') as Uint8Array as LedgerId }),
    'for the version before': (body) => signed(right(body, 2, 3)),
    'for the version after': (body) => signed(right(body, 4, 3)),
    'for fewer secrets': (body) => signed(right(body, 3, 2)),
    'for another channel': (body) =>
      signed({ ...right(body), channel: channelOf('two') as Uint8Array as ReceiptBody['channel'] }),
    'with another height than signed': (body) => {
      const made = signed(right(body))
      return made.name === 'receipt' ? { ...made, body: { ...made.body, height: 8 } } : made
    },
  }
  for (const [name, answer] of Object.entries(wrong)) {
    const bench = new Bench()
    bench.connect()
    const given = bench.appointed('one')
    bench.client.watch(channelOf('two'), { version: 9, secrets: 9 })
    bench.client.update(stateOf('two', 9))
    bench.say(answer(given))
    t.same(bench.receipts, [], name)
    t.ok(bench.ended, `${name}: the connection ended`)
    t.match(bench.client.status(), { code: name === 'for another channel' ? 'bad_frame' : 'tower_receipt_invalid' })
    bench.connect()
    bench.register()
    t.match(bench.take(), [{ name: 'appointment' }], `${name}: asked anew`)
  }
  t.end()
})

t.test('the newest takes the place of what has not left; secrets follow without gaps, late ones as a whole', (t) => {
  const bench = new Bench()
  bench.connect()
  const given = bench.appointed('one')
  t.match(given.secrets, { kind: 'list', from: 0 })
  for (let version = 4; version <= 20; version++) bench.client.update(stateOf('one', version, version - 1))
  t.same(bench.take(), [], 'one question of a channel at a time')
  bench.say(signed(right(given)))
  const [next, ...more] = bench.take()
  t.same(more, [])
  t.match(next, { body: { state: u64(20), secrets: { kind: 'list', from: 3 } } })
  t.equal(next?.name === 'appointment' && next.body.secrets.kind === 'list' && next.body.secrets.list.length, 16)
  bench.say(signed(right(given, 20, 19)))
  bench.client.update(stateOf('one', 20, 20))
  t.match(bench.take(), [{ body: { state: u64(20), secrets: { from: 19 } } }], 'a secret alone is worth the journey')
  bench.say(signed(right(given, 20, 20)))
  const late = 21 + LIMITS.tower_secrets_listed
  bench.client.update(stateOf('one', late))
  const [whole] = bench.take()
  t.match(whole, { body: { secrets: { kind: 'store', count: late } } })
  t.end()
})

t.test('a new connection resumes from what the tower says that it holds', (t) => {
  const bench = new Bench()
  bench.connect()
  const given = bench.appointed('one')
  bench.say(signed(right(given)))
  bench.cut()
  bench.client.update(stateOf('one', 4))
  bench.connect()
  bench.register({ version: 3, secrets: 3 })
  t.match(bench.take(), [{ body: { state: u64(4), secrets: { kind: 'list', from: 3 } } }])
  bench.cut()
  bench.connect()
  bench.register({ version: 4, secrets: 4 })
  t.match(bench.take(), [{ body: { state: u64(4) } }], 'it has the state, we have no receipt: asked again')
  bench.say(signed(right(given, 4)))
  bench.cut()
  bench.connect()
  bench.register({ version: 4, secrets: 4 })
  t.same(bench.take(), [], 'nothing is owed')
  bench.cut()
  bench.connect()
  bench.register({ version: 2, secrets: 2 })
  t.match(bench.take(), [{ body: { state: u64(4), secrets: { from: 2 } } }], 'it lost what it signed for')
  t.match(bench.client.status(), { code: 'tower_lost', behind: 1 })
  bench.cut()
  bench.connect()
  bench.register({ version: 9, secrets: 9 })
  t.same(bench.take(), [], 'a tower above us is given nothing')
  t.same(bench.answers.at(-1), { version: 9, secrets: 9 })
  t.end()
})

t.test(
  'refusals: a gap gets the whole store, a forgotten channel is registered, quotas are tried later and later',
  (t) => {
    const bench = new Bench()
    bench.connect()
    const { channel } = bench.appointed('one')
    const id = channel as Uint8Array as ChannelId
    bench.refuse('appointment', id, 'tower_gap')
    t.same(bench.take(), [], 'not at once')
    bench.pass(250)
    t.match(bench.take(), [{ body: { secrets: { kind: 'store', count: 3 } } }])
    const waits: number[] = []
    for (let i = 0; i < 4; i++) {
      bench.refuse('appointment', id, 'tower_quota')
      let waited = 0
      while (bench.asked.length === 0) {
        bench.pass(125)
        waited += 125
      }
      t.match(bench.take(), [{ name: 'appointment' }])
      waits.push(waited)
    }
    t.same(waits, [250, 500, 1_000, 2_000])
    bench.refuse('appointment', id, 'tower_stale')
    bench.pass(60_000)
    t.same(bench.take(), [], 'what no repetition mends is not repeated')
    t.equal(bench.client.status().code, 'tower_stale')
    bench.cut()
    bench.connect()
    bench.register()
    bench.take()
    bench.refuse('appointment', id, 'tower_not_watched')
    bench.pass(250)
    t.match(bench.take(), [{ name: 'register' }])
    t.end()
  },
)

t.test('bounded: a window of questions; one that is never answered ends the connection', (t) => {
  const bench = new Bench()
  const channels = LIMITS.tower_requests + 10
  for (let i = 0; i < channels; i++) {
    bench.client.watch(channelOf(`${i}`), undefined)
    bench.client.update(stateOf(`${i}`, 1))
  }
  bench.connect()
  t.equal(bench.asked.length, LIMITS.tower_requests)
  const [one, two] = bench.take()
  if (one?.name !== 'register' || two?.name !== 'register') return t.fail('registrations')
  bench.say({ name: 'registered', body: { channel: one.body.channel, version: null, secrets: 0 } })
  t.equal(bench.take().length, 1, 'an answer makes room for one question')
  bench.pass(LIMITS.tower_answer_ms / 2)
  bench.say({ name: 'registered', body: { channel: two.body.channel, version: null, secrets: 0 } })
  bench.pass(LIMITS.tower_answer_ms / 2)
  t.equal(bench.ended, 'idle_timeout', 'answers to others do not excuse the oldest')
  t.end()
})

t.test('jobs: receipted once by signature, cancelled by name, and retrievals that nobody answers end', async (t) => {
  const bench = new Bench()
  const id = sha256(utf8('job'))
  const task = { kind: 'deadline', scalar: keyOf('scalar'), from: 1, deadline: 2 } as const
  bench.client.job({ id, channel: channelOf('one'), task })
  bench.connect()
  const [request] = bench.take()
  const sign = (key: Scalar): Signature =>
    curve.sign(jobReceiptDigest(parties, towerCodec.encode(request!), { height: 5, time: 6 }), key)
  bench.say({ name: 'jobReceipt', body: { job: id, height: 5, time: 6, signature: sign(keyOf('mallory')) } })
  t.same([bench.jobs, bench.ended], [[], 'tower_receipt_invalid'])
  bench.connect()
  bench.take()
  bench.say({ name: 'jobReceipt', body: { job: id, height: 5, time: 6, signature: sign(keyOf('tower')) } })
  t.same(bench.jobs, [id])
  const other = sha256(utf8('another job'))
  bench.client.job({ id: other, channel: channelOf('one'), task })
  bench.take()
  const late = { request: TOWER_REQUEST_TYPES.revealJob, channel: null, job: other, code: 'tower_job_late' }
  bench.say({ name: 'towerRefused', body: late })
  t.same(bench.refused, [other], 'whoever waits for it hears that it never comes')
  bench.client.cancel(id)
  t.match(bench.take(), [{ name: 'cancelJob', body: { job: id } }])
  bench.say({ name: 'jobCancelled', body: { job: id } })
  bench.client.cancel(other)
  t.same([bench.take(), bench.gone], [[], [id, other]], 'what it never took it need not forget')
  const older = sha256(utf8('of another process'))
  bench.client.cancel(older)
  t.match(bench.take(), [{ name: 'cancelJob', body: { job: older } }])
  t.equal(bench.client.status().jobs, 1, 'until it says so')
  const asked = bench.client.retrieve(channelOf('two'))
  t.match(bench.take(), [{ name: 'retrieve' }])
  bench.refuse('retrieve', channelOf('two'), 'tower_not_watched')
  t.match([await asked, ...bench.take()], [{ newest: null }], 'a tower that does not watch it holds nothing')
  const found = bench.client.retrieve(channelOf('one'))
  t.match(bench.take(), [{ name: 'retrieve' }])
  bench.connect()
  t.match(bench.take(), [{ name: 'cancelJob' }, { name: 'retrieve' }], 'asked until it answers')
  const channel = channelOf('one') as Uint8Array as ReceiptBody['channel']
  bench.say({ name: 'retrieved', body: { channel, newest: null, secrets: { count: 0, slots: [] } } })
  t.match(await found, { newest: null })
})

t.test('a receipt file: what was signed reads back; one bit of another meaning does not', (t) => {
  const made = signed({
    channel: channelOf('one') as Uint8Array as ReceiptBody['channel'],
    version: 3,
    secrets: 2,
    height: 7,
    time: 8,
  })
  if (made.name !== 'receipt') return t.fail('a receipt')
  const line = formatTowerReceipt({ parties, body: made.body })
  const read = parseTowerReceipt(line)
  t.same(read, { ok: true, value: { parties, body: made.body } })
  const fields = JSON.parse(line) as Record<string, string | number>
  for (const [name, value] of Object.entries(fields)) {
    const other = typeof value === 'number' ? value + 1 : value.replace(/.$/, (last) => (last === '0' ? '1' : '0'))
    t.match(
      parseTowerReceipt(JSON.stringify({ ...fields, [name]: other })),
      { error: { code: 'tower_receipt_invalid' } },
      name,
    )
  }
  for (const text of ['', '{}', 'x'.repeat(10_000), `[${line}]`]) t.notOk(parseTowerReceipt(text).ok)
  t.end()
})
