/** Every message that two nodes exchange after `hello` (W2). */
import { CHANNEL_MESSAGES, type ChannelMessage } from '../base/message/channel.js'
import { messageCodec } from '../base/message/codec.js'
import { OPENING_MESSAGES, type OpeningMessage } from '../base/message/opening.js'

export type NodeMessage = ChannelMessage | OpeningMessage

export const nodeCodec = messageCodec([...OPENING_MESSAGES, ...CHANNEL_MESSAGES])

const OPENING_NAMES: ReadonlySet<string> = new Set(OPENING_MESSAGES.map(({ name }) => name))

export const isOpening = (message: NodeMessage): message is OpeningMessage => OPENING_NAMES.has(message.name)
