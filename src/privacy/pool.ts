/**
 * Worker threads for everything of this folder that takes milliseconds (P8): nothing of it runs on a server's main
 * thread. Jobs wait in one bounded queue, urgent ones before the others, first come first served within each. A proof that
 * finds two threads idle and nothing behind it is made or verified by both.
 */
import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { bankForWorker } from '../base/counters.js'
import { MeridianError } from '../base/errors.js'
import { LIMITS } from '../base/limits.js'
import type { JobName, Jobs, Reply, Request } from './pool-jobs.js'
import type { ProofCheck, Statement, Witness } from './statement.js'

/** Which jobs come first: `urgent` is what a peer or a block waits for, `normal` what is prepared ahead. */
export type Lane = 'urgent' | 'normal'

export interface PoolOptions {
  /** Default: the number of cores, four at most. */
  readonly threads?: number
  /** Jobs that may wait; one more is refused with `busy`. */
  readonly queue?: number
}

/** An open private key: `id` is its number in the pool's workers. */
export interface KeyHandle {
  readonly id: number
  readonly n: Uint8Array
}

/**
 * Every method answers with its namesake's result, computed in a worker. Rejects with MeridianError: `busy` where the
 * queue is full, `unavailable` after `close` or where the job's worker died (another takes its place; the job may be
 * asked again), `internal` where the job threw (a defect).
 */
export interface ProofPool {
  /** Jobs that no worker has begun. */
  readonly waiting: number
  verify(check: ProofCheck, lane?: Lane): Promise<boolean>
  /** With fresh entropy. `key`: the prover's own, where it is open, which makes its part cheaper. */
  prove(statement: Statement, witness: Witness, lane?: Lane, key?: KeyHandle): Promise<Uint8Array>
  encrypt(n: Uint8Array, value: bigint, s: bigint, lane?: Lane): Promise<bigint>
  randomizer(n: Uint8Array, s: bigint, lane?: Lane): Promise<bigint>
  /** The factors as exportPrivateKey has them: secret, for `openKey` and for sealed storage. */
  privateKeyFromSeed(seed: Uint8Array, bits: number, lane?: Lane): Promise<Uint8Array>
  /** Hands the key to every worker, once; the jobs below name it by its handle. */
  openKey(exported: Uint8Array): Promise<KeyHandle>
  closeKey(key: KeyHandle): Promise<void>
  encryptOwn(key: KeyHandle, value: bigint, s: bigint, lane?: Lane): Promise<bigint>
  randomizerOwn(key: KeyHandle, s: bigint, lane?: Lane): Promise<bigint>
  decrypt(key: KeyHandle, ciphertext: bigint, lane?: Lane): Promise<bigint>
  rootOfRollover(key: KeyHandle, product: bigint, fresh: bigint, lane?: Lane): Promise<bigint>
  proveKey(key: KeyHandle, account: Uint8Array, lane?: Lane): Promise<Uint8Array>
  /** Takes no new job, finishes those it has, ends the threads. */
  close(): Promise<void>
}

export function createPool(options: PoolOptions = {}): ProofPool {
  const threads = new Threads(options.threads ?? Math.min(availableParallelism(), 4), options.queue ?? LIMITS.pool_jobs)
  let keys = 0
  return {
    get waiting() {
      return threads.waiting
    },
    verify: (check, lane) => threads.run('verify', { check }, lane),
    prove: (statement, witness, lane, key) =>
      threads.run('prove', { statement, witness, entropy: randomBytes(32), key: key?.id }, lane),
    encrypt: (n, value, s, lane) => threads.run('encrypt', { n, value, s }, lane),
    randomizer: (n, s, lane) => threads.run('randomizer', { n, s }, lane),
    privateKeyFromSeed: (seed, bits, lane) => threads.run('privateKeyFromSeed', { seed, bits }, lane),
    async openKey(exported) {
      const id = ++keys
      const [n] = await threads.openKey(id, exported)
      return { id, n: n! }
    },
    async closeKey({ id }) {
      await threads.closeKey(id)
    },
    encryptOwn: ({ id }, value, s, lane) => threads.run('encryptOwn', { key: id, value, s }, lane),
    randomizerOwn: ({ id }, s, lane) => threads.run('randomizerOwn', { key: id, s }, lane),
    decrypt: ({ id }, ciphertext, lane) => threads.run('decrypt', { key: id, ciphertext }, lane),
    rootOfRollover: ({ id }, product, fresh, lane) => threads.run('rootOfRollover', { key: id, product, fresh }, lane),
    proveKey: ({ id }, account, lane) => threads.run('proveKey', { key: id, account }, lane),
    close: () => threads.close(),
  }
}

interface Task {
  readonly request: Request
  resolve(value: unknown): void
  reject(error: MeridianError): void
}

interface Thread {
  readonly worker: Worker
  /** Sent and not yet answered, by id. */
  readonly sent: Map<number, Task>
}

interface Half {
  readonly task: Task
  readonly port: MessagePort
}

/** The halves of a job that two threads can share, the second of which answers nobody; undefined for any other job. */
function inTwo({ request, resolve, reject }: Task, nextId: () => number): readonly [Half, Half] | undefined {
  const name = sharedName(request)
  if (name === undefined) return undefined
  const { port1, port2 } = new MessageChannel()
  const half = (index: number, port: MessagePort, id: number): Request => ({
    id,
    name,
    input: { ...request.input, share: { index, of: 2 }, port } as Request['input'],
  })
  const unheard = (): void => {} // the first half says what came of it
  return [
    { task: { request: half(0, port1, request.id), resolve, reject }, port: port1 },
    { task: { request: half(1, port2, nextId()), resolve: unheard, reject: unheard }, port: port2 },
  ]
}

function sharedName({ name, input }: Request): 'proveShared' | 'verifyShared' | undefined {
  if (name === 'prove') return 'proveShared'
  return name === 'verify' && (input as Jobs['verify']['input']).check.type === 'statement' ? 'verifyShared' : undefined
}

const workerUrl = (): URL => new URL('./worker.js', import.meta.url)

class Threads {
  /** Undefined where a worker died: the next job that needs the place starts another, so that each death costs a job. */
  readonly #threads: (Thread | undefined)[]
  readonly #waiting: Readonly<Record<Lane, Task[]>> = { urgent: [], normal: [] }
  /** Open private keys by number, for workers that are started later. */
  readonly #keys = new Map<number, Uint8Array>()
  readonly #queue: number
  #ids = 0
  #closing: Promise<void> | undefined
  #drained: (() => void) | undefined

  constructor(threads: number, queue: number) {
    this.#queue = queue
    this.#threads = Array.from({ length: threads }, (_, place) => this.#start(place))
  }

  #start(place: number): Thread {
    const thread: Thread = { worker: new Worker(workerUrl(), { workerData: bankForWorker() }), sent: new Map() }
    let why = 'exit'
    thread.worker.on('message', (reply: Reply) => this.#answered(thread, reply))
    thread.worker.on('error', ({ name }) => {
      why = name // its message may quote an input
    })
    thread.worker.on('exit', () => this.#died(place, thread, why))
    return thread
  }

  get waiting(): number {
    return this.#waiting.urgent.length + this.#waiting.normal.length
  }

  run<Name extends JobName>(
    name: Name,
    input: Jobs[Name]['input'],
    lane: Lane = 'normal',
  ): Promise<Jobs[Name]['output']> {
    return this.#task(name, input, (task) => {
      if (this.waiting >= this.#queue) {
        task.reject(new MeridianError('busy', 'proof pool'))
        return
      }
      this.#waiting[lane].push(task)
      this.#dispatch()
    })
  }

  async openKey(key: number, exported: Uint8Array): Promise<Uint8Array[]> {
    this.#keys.set(key, Uint8Array.from(exported))
    try {
      return await this.#runInEach('openKey', { key, exported })
    } catch (error) {
      this.#forget(key)
      throw error
    }
  }

  async closeKey(key: number): Promise<void> {
    this.#forget(key)
    await this.#runInEach('closeKey', { key })
  }

  #forget(key: number): void {
    this.#keys.get(key)?.fill(0)
    this.#keys.delete(key)
  }

  /** In every thread, after whatever it is doing: a worker answers in the order in which it is asked. */
  #runInEach<Name extends JobName>(name: Name, input: Jobs[Name]['input']): Promise<Jobs[Name]['output'][]> {
    const places = this.#threads.keys()
    return Promise.all([...places].map((place) => this.#task(name, input, (task) => this.#send(this.#at(place), task))))
  }

  #task<Name extends JobName>(
    name: Name,
    input: Jobs[Name]['input'],
    place: (task: Task) => void,
  ): Promise<Jobs[Name]['output']> {
    return new Promise((resolve, reject) => {
      const task: Task = { request: { id: ++this.#ids, name, input }, resolve: resolve as Task['resolve'], reject }
      if (this.#closing === undefined) place(task)
      else reject(new MeridianError('unavailable', 'the proof pool is closed'))
    })
  }

  /** The thread of this place; a new one is handed every open key before its first job. */
  #at(place: number): Thread {
    const known = this.#threads[place]
    if (known !== undefined) return known
    const thread = this.#start(place)
    this.#threads[place] = thread
    for (const [key, exported] of this.#keys) {
      const request: Request<'openKey'> = { id: ++this.#ids, name: 'openKey', input: { key, exported } }
      const heard = (): void => {} // where it failed, the jobs that name the key fail
      this.#send(thread, { request, resolve: heard, reject: heard })
    }
    return thread
  }

  #send(thread: Thread, task: Task, ports: readonly MessagePort[] = []): void {
    thread.worker.postMessage(task.request, ports)
    thread.sent.set(task.request.id, task)
  }

  /** One job per thread at a time, so that an urgent one waits for no more than one other. */
  #dispatch(): void {
    for (;;) {
      const [place, other] = this.#idle()
      const task = place === undefined ? undefined : (this.#waiting.urgent.shift() ?? this.#waiting.normal.shift())
      if (place === undefined || task === undefined) break
      const shared = other !== undefined && this.waiting === 0 ? inTwo(task, () => ++this.#ids) : undefined
      if (shared === undefined || other === undefined) this.#send(this.#at(place), task)
      else {
        this.#send(this.#at(place), shared[0].task, [shared[0].port])
        this.#send(this.#at(other), shared[1].task, [shared[1].port])
      }
    }
    if (this.#threads.every((thread) => thread === undefined || thread.sent.size === 0)) this.#drained?.()
  }

  /** Places without a job. */
  #idle(): number[] {
    return [...this.#threads.keys()].filter((place) => (this.#threads[place]?.sent.size ?? 0) === 0)
  }

  #answered(thread: Thread, reply: Reply): void {
    const task = thread.sent.get(reply.id)!
    thread.sent.delete(reply.id)
    if ('failed' in reply) task.reject(new MeridianError('internal', `${task.request.name}: ${reply.failed}`))
    else if ('abandoned' in reply) task.reject(new MeridianError('unavailable', 'a proof worker died'))
    else task.resolve(reply.value)
    this.#dispatch()
  }

  /** What it had in hand is lost, and whoever waits for that hears it; the others' jobs go on. */
  #died(place: number, thread: Thread, why: string): void {
    this.#threads[place] = undefined
    for (const task of thread.sent.values())
      task.reject(new MeridianError('unavailable', `a proof worker died: ${why}`))
    thread.sent.clear()
    this.#dispatch()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#drained = resolve
      this.#dispatch()
    })
    await Promise.all(this.#threads.map((thread) => thread?.worker.terminate()))
    for (const key of this.#keys.keys()) this.#forget(key)
  }
}
