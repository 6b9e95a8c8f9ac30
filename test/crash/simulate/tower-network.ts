/**
 * The ways between nodes and towers. A message is an event of the world like a sync or a block: it arrives when its turn
 * comes, in its order; a connection ends with either process and is made anew a little later.
 */
import { curve } from '../../../src/base/curve/index.js'
import type { ErrorCode } from '../../../src/base/errors.js'
import { type AccountId, idText } from '../../../src/base/ids.js'
import { type TowerAnswer, type TowerMessage, type TowerRequest, towerCodec } from '../../../src/base/message/tower.js'
import type { ConnectTower, TowerLinkOptions, TowerNetworkOptions, TowerSession } from '../../../src/watchtower/link.js'
import type { ClientSession } from '../../../src/watchtower/tower.js'
import type { Schedule } from './clock.js'
import type { Life } from './life.js'
import type { TowerHost } from './tower-host.js'

const RETRY_MS = 200
/** One message in so many goes through the real codec. */
const CODED = 8

/** What is on its way in one direction, and how many of it have their event. */
interface Queue {
  readonly life: Life
  readonly messages: (Uint8Array | TowerMessage)[]
  due: number
  arrive(message: TowerMessage): void
}

interface Session {
  readonly up: Queue
  readonly down: Queue
  open: boolean
  close(reason: ErrorCode): void
}

/** A client's wish to be connected to a tower. */
interface Line {
  readonly client: string
  readonly account: AccountId
  readonly life: Life
  readonly tower: string
  readonly options: TowerLinkOptions
  session: Session | undefined
  /** Milliseconds: no attempt before. */
  again: number
}

/** Told of every message at the moment in which it leaves, or arrives at a tower. */
export interface TowerWitness {
  answers(tower: string, client: string, answer: TowerAnswer): void
  asked(tower: string, client: string, request: TowerRequest): void
}

export class TowerNetwork {
  readonly #towers = new Map<string, TowerHost>()
  #lines: Line[] = []
  /** Towers whose messages stand still. */
  readonly #held = new Set<string>()
  witness: TowerWitness | undefined
  delivered = 0
  #sent = 0
  /** Told after each message that arrived. */
  arrived: () => void = () => undefined

  constructor(private readonly schedule: Schedule) {}

  add(tower: TowerHost): void {
    this.#towers.set(idText(tower.account), tower)
  }

  // ---- what a node sees

  transport(client: string, life: Life): (options: TowerNetworkOptions) => ConnectTower {
    return ({ key }) => {
      const account = curve.multiplyBase(key)
      return (options) => {
        const line: Line = {
          client,
          account,
          life,
          tower: idText(options.tower.account),
          options,
          session: undefined,
          again: 0,
        }
        this.#lines.push(line)
        return {
          close: () => {
            line.session?.close('connection_closed')
            this.#lines = this.#lines.filter((each) => each !== line)
          },
        }
      }
    }
  }

  // ---- what happens between them

  /** Connects whoever wants to be and can. */
  connect(): void {
    this.#lines = this.#lines.filter(({ life }) => life.alive)
    for (const line of this.#lines) {
      const host = this.#towers.get(line.tower)
      const life = host?.serving
      if (host === undefined || life === undefined || line.session !== undefined) continue
      if (this.schedule.now >= line.again && !this.#held.has(host.name)) this.#join(line, host, life)
    }
  }

  #join(line: Line, host: TowerHost, towerLife: Life): void {
    let hears: ((message: TowerMessage) => void) | undefined
    let closed: ((reason: ErrorCode) => void) | undefined
    const queue = (life: Life, arrive: Queue['arrive']): Queue => ({ life, messages: [], due: 0, arrive })
    const down = queue(line.life, (message) => hears?.(message))
    const atTower: ClientSession = host.tower!.connect(line.account, (answer) => {
      if (!session.open || !towerLife.acts()) return
      this.witness?.answers(host.name, line.client, answer)
      this.#send(host.name, session, down, answer)
    })
    const up = queue(towerLife, (message) => {
      this.witness?.asked(host.name, line.client, message as TowerRequest)
      atTower.receive(message as TowerRequest, () => undefined)
    })
    const session: Session = {
      up,
      down,
      open: true,
      close: (reason) => {
        if (!session.open) return
        session.open = false
        line.session = undefined
        line.again = this.schedule.now + RETRY_MS
        if (towerLife.alive) atTower.close()
        const run = (): void => closed?.(reason)
        if (line.life.alive) this.schedule.add({ kind: 'tower', life: line.life, run })
      },
    }
    line.session = session
    const seen: TowerSession = {
      send: (message) => {
        if (session.open && line.life.acts()) this.#send(host.name, session, up, message)
      },
      onMessage: (handler) => {
        hears = handler
      },
      onClose: (handler) => {
        closed = handler
      },
      fail: (code) => session.close(code),
    }
    line.options.onSession(seen)
  }

  #send(tower: string, session: Session, queue: Queue, message: TowerMessage): void {
    this.#sent += 1
    queue.messages.push(this.#sent % CODED === 0 ? towerCodec.encode(message) : message)
    if (!this.#held.has(tower)) this.#dispatch(session, queue)
  }

  /** An event for each message that has none. */
  #dispatch(session: Session, queue: Queue): void {
    for (; queue.due < queue.messages.length; queue.due += 1) {
      const run = (): void => {
        queue.due -= 1
        const message = queue.messages.shift()
        if (message === undefined || !session.open) return
        this.delivered += 1
        queue.arrive(message instanceof Uint8Array ? decoded(message) : message)
        this.arrived()
      }
      this.schedule.add({ kind: 'tower', life: queue.life, run })
    }
  }

  /** From now on nothing that is sent to or by this tower arrives, until `release`. */
  hold(tower: string): void {
    this.#held.add(tower)
  }

  release(tower: string): void {
    if (!this.#held.delete(tower)) return
    for (const { session, tower: account } of this.#lines) {
      if (session === undefined || this.#towers.get(account)?.name !== tower) continue
      for (const queue of [session.up, session.down]) this.#dispatch(session, queue)
    }
  }

  isHeld(tower: string): boolean {
    return this.#held.has(tower)
  }

  /** A process ended, and its connections with it. */
  gone(name: string): void {
    for (const line of this.#lines) {
      if (line.client === name || this.#towers.get(line.tower)?.name === name) line.session?.close('connection_closed')
    }
  }
}

function decoded(bytes: Uint8Array): TowerMessage {
  const message = towerCodec.decode(bytes)
  if (!message.ok || message.value === 'ignored') throw new Error('a message that its own codec refuses')
  return message.value
}
