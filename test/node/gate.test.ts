/** The gate alone (T2, C8, C10): what waits, in which order it leaves, and what never does. */
import t from 'tap'
import type { Digest } from '../../src/base/bytes.js'
import type { Signature } from '../../src/base/curve/index.js'
import { LIMITS } from '../../src/base/limits.js'
import type { ChannelMessage } from '../../src/base/message/channel.js'
import type { Phase } from '../../src/channel/types.js'
import { Gate } from '../../src/node/gate.js'
import type { LiveChannel } from '../../src/node/live-channel.js'
import { Proposals } from '../../src/node/proposals.js'

const bytes = new Uint8Array(32)
const signature = new Uint8Array(64) as Signature
const revocation = (version: number) => ({
  version,
  secret: bytes,
  next: { hash: bytes as Digest, randomizer: new Uint8Array(1) },
})
const ack = (version: number): ChannelMessage => ({
  name: 'ack',
  body: { channel: bytes, version, signature, revocation: revocation(version - 1) },
})
const commit = (version: number, revoked: number | null): ChannelMessage => ({
  name: 'commit',
  body: {
    channel: bytes,
    version,
    at: { height: 1, time: 1 },
    operations: bytes,
    digest: bytes as Digest,
    signature,
    revocation: revoked === null ? null : revocation(revoked),
  },
})
const shutdown: ChannelMessage = { name: 'shutdown', body: { channel: bytes } }
const reestablish: ChannelMessage = {
  name: 'reestablish',
  body: { channel: bytes, version: 1, outstanding: false, received: 0, secret: bytes },
}

class Door {
  covered = 0
  secured = true
  cuts = 0
  readonly sent: string[] = []
  readonly gate = new Gate({
    covered: (_channel, version) => version <= this.covered,
    secured: () => this.secured,
    cut: () => {
      this.cuts += 1
    },
  })

  /** The gate reads no more of a channel than its name, and whether rounds run. */
  readonly channel = { text: 'one', state: { phase: 'open', peerRecovers: null } } as unknown as LiveChannel

  enter(phase: Phase): void {
    this.channel.state = { ...this.channel.state, phase }
  }
  pass(message: ChannelMessage, name: string): void {
    this.gate.pass(this.channel, message, () => void this.sent.push(name))
  }
}

t.test('a secret of k waits for k + 1; what was said later waits behind it; nothing else waits', (t) => {
  const door = new Door()
  door.pass(commit(1, null), 'commit 1')
  door.pass(shutdown, 'shutdown')
  t.same(door.sent, ['commit 1', 'shutdown'], 'no secret in them')
  door.pass(commit(2, 0), 'commit 2')
  door.pass(shutdown, 'again')
  door.pass(ack(3), 'ack 3')
  t.equal(door.gate.waiting(door.channel), 3)
  door.gate.release(door.channel)
  t.equal(door.sent.length, 2)
  door.covered = 1
  door.gate.release(door.channel)
  t.same(door.sent.slice(2), ['commit 2', 'again'], 'the secret of 0 takes a receipt for 1')
  door.covered = 3
  door.gate.release(door.channel)
  t.same(door.sent.slice(4), ['ack 3'])
  t.end()
})

t.test('a claim’s acknowledgement waits for its job, with or without a secret', (t) => {
  const door = new Door()
  door.covered = 9
  door.secured = false
  door.pass(commit(1, null), 'commit')
  door.pass(ack(1), 'ack')
  t.same(door.sent, [])
  door.secured = true
  door.gate.release(door.channel)
  t.same(door.sent, ['commit', 'ack'])
  t.end()
})

t.test('a new connection begins with reestablish: what waited on the last one is gone', (t) => {
  const door = new Door()
  door.pass(ack(1), 'old')
  door.pass(reestablish, 'reestablish')
  t.same(door.sent, ['reestablish'], 'it waits for nobody')
  door.covered = 9
  door.gate.release(door.channel)
  door.pass(ack(1), 'new')
  t.same(door.sent, ['reestablish', 'new'])
  t.end()
})

t.test('an ended or frozen channel lets no round and no secret out, whatever towers sign later', (t) => {
  for (const phase of ['exiting', 'disputed', 'recovery', 'broken', 'closing'] as const) {
    const door = new Door()
    door.pass(ack(1), 'ack')
    door.pass(shutdown, 'shutdown')
    door.enter(phase)
    door.covered = 9
    door.gate.release(door.channel)
    t.same(door.sent, ['shutdown'], phase)
  }
  const door = new Door()
  door.pass(commit(1, null), 'state 0 gives up nothing')
  door.pass(commit(2, 0), 'commit 2')
  door.channel.state = { ...door.channel.state, peerRecovers: 0 }
  door.covered = 9
  door.gate.release(door.channel)
  t.same(door.sent, ['state 0 gives up nothing'], 'C8: nor to a peer that has lost data meanwhile')
  t.end()
})

t.test('bounded: too much of it ends the connection', (t) => {
  const door = new Door()
  door.pass(ack(1), 'ack')
  for (let i = 0; i < LIMITS.gated_messages; i++) door.pass(shutdown, 'shutdown')
  t.equal(door.cuts, 1)
  t.equal(door.gate.waiting(door.channel), 0)
  t.same(door.sent, [])
  t.end()
})

const propose = (length: number, fill: number): ChannelMessage => ({
  name: 'propose',
  body: { channel: bytes, operations: new Uint8Array(length).fill(fill) },
})

/** What leaves, a proposal as the operations that it carries, and the turn in which it does. */
class Turn {
  readonly sent: string[] = []
  readonly #later: (() => void)[] = []
  readonly channel = { text: 'one', context: { terms: { channel: bytes } } } as unknown as LiveChannel
  readonly proposals = new Proposals(
    {
      towers: { gate: (_channel, _message, send) => send() },
      peers: {
        send: (_peer, message) => {
          const carried = message.name === 'propose' ? ` ${[...new Set(message.body.operations)].join()}` : ''
          return this.sent.push(message.name + carried) > 0
        },
      },
    },
    { soon: (task) => void this.#later.push(task) },
  )

  say(...messages: readonly ChannelMessage[]): void {
    for (const message of messages) this.proposals.pass(this.channel, message)
  }
  ends(): string[] {
    for (const task of this.#later.splice(0)) task()
    return this.sent.splice(0)
  }
}

t.test('proposals of one turn are one message; whatever else is said keeps its place', (t) => {
  const turn = new Turn()
  turn.say(propose(5, 1), propose(5, 2))
  t.same(turn.sent, [], 'not before the turn ends')
  t.same(turn.ends(), ['propose 1,2'])
  t.same(turn.ends(), [], 'once')
  turn.say(propose(5, 1), propose(5, 2), commit(1, null), propose(5, 3))
  t.same(turn.ends(), ['propose 1,2', 'commit', 'propose 3'], 'C5: what a commit names came before it')
  const most = LIMITS.propose_bytes - 10
  turn.say(propose(most, 1), propose(10, 2), propose(1, 3))
  t.same(turn.ends(), ['propose 1,2', 'propose 3'], 'as long as a proposal may be')
  turn.say(propose(5, 1), reestablish, propose(5, 2))
  t.same(turn.ends(), ['reestablish', 'propose 2'], 'C8: what was proposed on the connection before is void')
  t.end()
})
