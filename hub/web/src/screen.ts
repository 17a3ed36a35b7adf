/** Sharing this computer's screen, as a stream of its own. */
import { type LocalTrackPublication, type Room, Track, type VideoCodec } from 'livekit-client';
import type { Refusals } from './refusals';
import type { Stream } from './session';
import { screenStreamId } from './streams';

/** Starts and stops. */
export class Screen {
  readonly #room: Room;
  readonly #refusals: Refusals;

  constructor(room: Room, refusals: Refusals) {
    this.#room = room;
    this.#refusals = refusals;
  }

  /** Whether a screen is shared. */
  get active(): boolean {
    return this.#publication(Track.Source.ScreenShare) !== undefined;
  }

  /** Asks which screen, and publishes it. Throws an `Error` with a sentence for people; nothing when it was called off. */
  async start(codec: VideoCodec): Promise<void> {
    if (!navigator.mediaDevices?.getDisplayMedia) {
      throw new Error(
        window.isSecureContext
          ? 'This browser cannot share its screen: use one on a computer'
          : 'The browser shares screens only from pages at https:// or localhost: open the page that way',
      );
    }
    const name = screenStreamId(this.#room.localParticipant.identity);
    const sharing = this.#room.localParticipant.setScreenShareEnabled(
      true,
      { audio: true, resolution: { width: 1920, height: 1080, frameRate: 15 }, contentHint: 'detail' },
      {
        name,
        stream: name,
        videoCodec: codec,
        screenShareEncoding: { maxBitrate: 2_500_000, maxFramerate: 15 },
        simulcast: false,
        backupCodec: false,
        red: true,
      },
    );
    try {
      await this.#refusals.race(sharing);
    } catch (error) {
      if (error instanceof Error && error.name === 'NotAllowedError') {
        return;
      }
      throw error;
    }
  }

  /** Stops sharing. */
  async stop(): Promise<void> {
    await this.#room.localParticipant.setScreenShareEnabled(false);
  }

  /** The stream as the page shows it; undefined when nothing is shared. */
  stream(): Stream | undefined {
    const video = this.#publication(Track.Source.ScreenShare);
    if (!video) {
      return undefined;
    }
    const me = this.#room.localParticipant;
    const audio = this.#publication(Track.Source.ScreenShareAudio);
    return {
      key: '\nscreen',
      streamId: screenStreamId(me.identity),
      user: me.identity,
      name: me.name || me.identity,
      local: true,
      screen: true,
      video,
      audio,
    };
  }

  #publication(source: Track.Source): LocalTrackPublication | undefined {
    return this.#room.localParticipant.getTrackPublication(source);
  }
}
