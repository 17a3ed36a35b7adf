/** Our own stream: camera and microphone of this browser, published under one stream id. */
import {
  createLocalTracks,
  LocalAudioTrack,
  type LocalTrack,
  type LocalTrackPublication,
  LocalVideoTrack,
  type Room,
  Track,
  type VideoCodec,
} from 'livekit-client';
import { chosen } from './devices';
import type { Refusals } from './refusals';
import type { Stream } from './session';
import { deviceFailure } from './words';

/** What to publish. */
export interface PublishWish {
  streamId: string;
  codec: VideoCodec;
  width: number;
  height: number;
  camera: boolean;
  microphone: boolean;
  /** Echo cancellation, noise suppression, gain control. */
  processing: boolean;
}

/** kbit/s for a picture of so many pixels at 30 frames per second: what H.264 and VP8 need for a clean moving picture. */
const BITRATES: readonly (readonly [pixels: number, kbps: number])[] = [
  [320 * 240, 300],
  [640 * 480, 1000],
  [1280 * 720, 2000],
];

/** Publishes and unpublishes in one room. */
export class Publisher {
  readonly #room: Room;
  #streamId = '';
  #tracks: LocalTrack[] = [];
  readonly #refusals: Refusals;

  constructor(room: Room, refusals: Refusals) {
    this.#room = room;
    this.#refusals = refusals;
  }

  /** Whether the token allows publishing. */
  get allowed(): boolean {
    return this.#room.localParticipant.permissions?.canPublish ?? true;
  }

  /** Whether something is published, or about to be. */
  get active(): boolean {
    return this.#tracks.length > 0;
  }

  /**
   * Takes the devices and publishes them. Throws an `Error` with a sentence for people. `warn` hears of a device that
   * was wished for and is not there, while the other one is used.
   */
  async start(wish: PublishWish, warn: (text: string) => void): Promise<void> {
    const tracks = await this.#capture(wish, warn);
    this.#tracks = tracks;
    this.#streamId = wish.streamId;
    try {
      // One after the other: both tracks then arrive in one order everywhere, and a refusal of the first spares the second.
      for (const track of tracks) {
        const published = this.#room.localParticipant.publishTrack(track, {
          // One ZEGO stream: both of its tracks carry its id as name and as stream.
          name: wish.streamId,
          stream: wish.streamId,
          source: track.kind === Track.Kind.Video ? Track.Source.Camera : Track.Source.Microphone,
          videoCodec: wish.codec,
          videoEncoding: { maxBitrate: bitrate(wish) * 1000, maxFramerate: 30 },
          // Sound is sent twice, so that the hub can mend what is lost on the way to it. Pictures come in one layer and one codec.
          simulcast: false,
          backupCodec: false,
          red: true,
          dtx: false,
        });
        await this.#refusals.race(published);
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Takes another camera or microphone in the middle of the stream; an empty id leaves it to the browser. */
  async use(kind: Track.Kind, deviceId: string): Promise<void> {
    const wanted = deviceId ? { exact: deviceId } : { ideal: 'default' };
    for (const track of this.#tracks) {
      if (track.kind === kind && (track instanceof LocalAudioTrack || track instanceof LocalVideoTrack)) {
        await track.setDeviceId(wanted);
      }
    }
  }

  /** Unpublishes and gives the devices back. */
  async stop(): Promise<void> {
    const tracks = this.#tracks;
    this.forget();
    for (const track of tracks) {
      track.stop();
      if (this.#publicationOf(track)) {
        await this.#room.localParticipant.unpublishTrack(track, true);
      }
    }
  }

  /** Gives the devices back when the room is gone already. */
  forget(): void {
    for (const track of this.#tracks) {
      track.stop();
    }
    this.#tracks = [];
    this.#streamId = '';
  }

  /** Mutes or unmutes a published kind. */
  async mute(kind: Track.Kind, muted: boolean): Promise<void> {
    for (const track of this.#tracks) {
      if (track.kind === kind) {
        await (muted ? track.mute() : track.unmute());
      }
    }
  }

  /** Whether a kind is published, and muted. */
  state(kind: Track.Kind): { published: boolean; muted: boolean } {
    const publication = this.#publication(kind);
    return { published: publication !== undefined, muted: publication?.isMuted ?? false };
  }

  /** Our stream as the page shows it; undefined when nothing is published. */
  stream(): Stream | undefined {
    const video = this.#publication(Track.Kind.Video);
    const audio = this.#publication(Track.Kind.Audio);
    if (!video && !audio) {
      return undefined;
    }
    const me = this.#room.localParticipant;
    const name = me.name || me.identity;
    return { key: '\nlocal', streamId: this.#streamId, user: me.identity, name, local: true, screen: false, video, audio };
  }

  #publication(kind: Track.Kind): LocalTrackPublication | undefined {
    const track = this.#tracks.find((one) => one.kind === kind);
    return track && this.#publicationOf(track);
  }

  #publicationOf(track: LocalTrack): LocalTrackPublication | undefined {
    return [...this.#room.localParticipant.trackPublications.values()].find((one) => one.track === track) as
      | LocalTrackPublication
      | undefined;
  }

  async #capture(wish: PublishWish, warn: (text: string) => void, exact = true): Promise<LocalTrack[]> {
    if (!navigator.mediaDevices) {
      throw new Error(
        'The browser lends camera and microphone only to pages from https:// or localhost: open the page that way to publish',
      );
    }
    const on = wish.processing;
    const audio = { ...device('microphone', exact), echoCancellation: on, noiseSuppression: on, autoGainControl: on, voiceIsolation: false };
    const video = { ...device('camera', exact), resolution: { width: wish.width, height: wish.height, frameRate: 30 } };
    const wanted = { audio: wish.microphone ? audio : false, video: wish.camera ? video : false } as const;
    try {
      return await createLocalTracks(wanted);
    } catch (error) {
      if (exact && error instanceof Error && error.name === 'OverconstrainedError') {
        // A remembered device is gone: another one will do.
        return await this.#capture(wish, warn, false);
      }
      const missing = error instanceof Error && error.name === 'NotFoundError';
      if (!missing || !wish.camera || !wish.microphone) {
        throw new Error(deviceFailure(error), { cause: error });
      }
    }
    // One of the two is missing: a stream may well have only sound, or only a picture.
    const tracks: LocalTrack[] = [];
    for (const [name, options] of [
      ['microphone', { audio, video: false }],
      ['camera', { audio: false, video }],
    ] as const) {
      try {
        tracks.push(...(await createLocalTracks(options)));
      } catch (error) {
        warn(`Publishing without ${name}: ${deviceFailure(error)}`);
      }
    }
    if (tracks.length === 0) {
      throw new Error('No camera or microphone was found: plug one in and publish again');
    }
    return tracks;
  }
}

/** The remembered device: that one or none, or as a mere wish. */
function device(part: 'camera' | 'microphone', exact: boolean): { deviceId?: ConstrainDOMString } {
  const id = chosen(part);
  return id === undefined ? {} : { deviceId: exact ? { exact: id } : { ideal: id } };
}

function bitrate(wish: PublishWish): number {
  const pixels = wish.width * wish.height;
  return BITRATES.find(([upTo]) => pixels <= upTo)?.[1] ?? 2500;
}
