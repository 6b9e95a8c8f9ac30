/** What each message is for: a message without a line here does not compile. */
import type { TowerMessage } from '../../src/base/message/tower.js'
import type { NodeMessage } from '../../src/node/messages.js'

type Name = NodeMessage['name'] | TowerMessage['name'] | 'hello' | 'error' | 'ping' | 'pong'

export const MESSAGE_TEXTS: Readonly<Record<Name, string>> = {
  hello: 'First message of both sides (W2): protocol version, feature bits, ledger.',
  error: 'A stable code (errors.md); a null channel concerns the connection.',
  ping: 'Asks for a pong; the padding hides what else is sent.',
  pong: 'Answers a ping.',
  openChannel: 'Opener (L5): what it wants, and its deposit, opened for the peer alone.',
  acceptChannel: 'Peer: agreed, its own deposit (null for none) and first keys.',
  channelHalf: 'Opener: its first keys, its signature of state 0, its proven half.',
  channelSigned: "Peer: its signature of state 0, its half, its account's signature. The opener signs last.",
  openRefused: 'Either side gives the attempt up before it signed the transaction.',
  propose: 'Operations of the sender (C4), packed, ids strictly increasing.',
  commit: 'The leader closes a round (C5): which operations, the new version, its signature.',
  ack: "The follower's signature of the new version, and its secret of the old one.",
  revoke: "The leader's secret of the old version.",
  drop: 'The leader drops a proposal before any commit (C5).',
  reestablish: 'First message of both sides about a channel after every connect (C8).',
  newest: 'The newest co-signed state, for a peer that shows that it has lost it (C8).',
  shutdown: 'No new payment or lock from the sender (C10).',
  closeOffer: "The leader's proof of the final balances and its signature of the close (L6).",
  closeAccept: "The other side's signature of the close.",
  recovering: 'The sender has lost data: it makes no round ever again (C8).',
  forwardingPolicy: 'What the sender asks for forwarding to the receiver, and where it listens (R3, R7).',
  channelAgreement: "Between two hubs: the sender's half of the announcement of their channel (R4).",
  graphDigests: "What the sender's graph is, per range of channels: a hub answers with what differs (R4).",
  announcements: "Announcements, a channel's before those of its policies (R4).",
  register: 'Client: asks the tower to watch a channel; idempotent (T1).',
  registered: 'Tower: watched; the newest state and the secrets that it holds.',
  towerRefused: 'Tower: a request was refused and changed nothing.',
  appointment: 'Client: a co-signed state, and the secrets that the tower lacks (T1).',
  receipt: 'Tower: holds the state and the secrets, durable before it is signed (T2).',
  revealJob: 'Client: a scalar to reveal in its absence, under its delegation (T3, L8).',
  jobReceipt: 'Tower: the job is durable.',
  cancelJob: 'Client: the job is done with.',
  jobCancelled: 'Tower: whether the job was known or not.',
  retrieve: 'Client in RECOVERY: asks for what the tower holds (C8).',
  retrieved: 'Tower: the newest state and the secrets that it holds.',
}

export const isNamed = (name: string): name is Name => Object.hasOwn(MESSAGE_TEXTS, name)
