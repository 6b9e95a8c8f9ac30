/** Every message that two nodes exchange after `hello` (W2). */
import { z } from 'zod'
import { zDigest, zText } from '../base/codec.js'
import { CHANNEL_MESSAGES, type ChannelMessage } from '../base/message/channel.js'
import { define, type MessageOf, messageCodec } from '../base/message/codec.js'
import { GOSSIP_MESSAGES, type GossipMessage } from '../base/message/gossip.js'
import { OPENING_MESSAGES, type OpeningMessage } from '../base/message/opening.js'
import { zPolicy } from '../router/policy.js'

/**
 * What the sender asks for forwarding to the receiver over their channel (R3, R7), and where it listens: the receiver
 * puts it into its invoices' route hints. Odd: a peer that issues no invoice may ignore it.
 */
export const forwardingPolicy = define(
  129,
  'forwardingPolicy',
  z.strictObject({ channel: zDigest, policy: zPolicy, url: zText(256).nullable() }),
)
export type PolicyMessage = MessageOf<typeof forwardingPolicy>

export type NodeMessage = ChannelMessage | OpeningMessage | PolicyMessage | GossipMessage

export const nodeCodec = messageCodec([...OPENING_MESSAGES, ...CHANNEL_MESSAGES, forwardingPolicy, ...GOSSIP_MESSAGES])

const OPENING_NAMES: ReadonlySet<string> = new Set(OPENING_MESSAGES.map(({ name }) => name))

export const isOpening = (message: NodeMessage): message is OpeningMessage => OPENING_NAMES.has(message.name)

const GOSSIP_NAMES: ReadonlySet<string> = new Set(GOSSIP_MESSAGES.map(({ name }) => name))

export const isGossip = (message: NodeMessage): message is GossipMessage => GOSSIP_NAMES.has(message.name)
