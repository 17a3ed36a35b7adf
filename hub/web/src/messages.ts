/** Broadcast messages, as devices understand them (docs/reference/messages.md). */
import { type Room, RoomEvent } from 'livekit-client';

/** The topic of broadcasts. */
export const BROADCAST = 'zego.broadcast';
/** A device sends a text as a packet and as a stream; the stream then has this attribute. */
const COPY = 'zego.packet';
const LONGEST_BYTES = 1024;
const EVERY_MS = 500;

/** Somebody's message. */
export interface Message {
  user: string;
  text: string;
  at: Date;
}

/** Sends and receives in one room. */
export class Messages {
  readonly #room: Room;
  #lastMs = -Infinity;

  constructor(room: Room, heard: (message: Message) => void) {
    this.#room = room;
    room.registerTextStreamHandler(BROADCAST, (reader, sender) => {
      if (reader.info.attributes?.[COPY] !== undefined) {
        return;
      }
      const at = new Date(Number(reader.info.timestamp));
      // A stream that breaks off is no message.
      reader.readAll().then(
        (text) => heard({ user: sender.identity, text, at }),
        () => undefined,
      );
    });
    room.on(RoomEvent.DataReceived, (payload, sender, _kind, topic) => {
      if (topic === BROADCAST && sender) {
        heard({ user: sender.identity, text: new TextDecoder().decode(payload), at: new Date() });
      }
    });
  }

  /** Sends to everybody. Throws an `Error` with a sentence for people, and ZEGO's code, when that is not allowed. */
  async send(text: string, nowMs: number): Promise<void> {
    const wrong = refusal(text, nowMs - this.#lastMs);
    if (wrong !== undefined) {
      throw new Error(wrong);
    }
    if (this.#room.localParticipant.permissions?.canPublishData === false) {
      throw new Error('This token does not allow messages: get another one');
    }
    this.#lastMs = nowMs;
    await this.#room.localParticipant.sendText(text, { topic: BROADCAST, compress: false });
  }
}

/** Why a text may not be sent; undefined when it may. */
function refusal(text: string, sinceMs: number): string | undefined {
  if (text === '') {
    return 'The message is empty: write something [1009001]';
  }
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > LONGEST_BYTES) {
    return `The message has ${bytes} bytes, and ${LONGEST_BYTES} are allowed: make it shorter [1009002]`;
  }
  return sinceMs < EVERY_MS ? 'That was too fast: wait half a second and send it again [1009015]' : undefined;
}
