/** One stream on the page: picture, sound, and whose they are. */
import type { Track, TrackPublication } from 'livekit-client';
import { element, icon } from './dom';
import type { Box } from './layout';
import type { Stream } from './session';

/** The elements of one stream. `root` goes into the page. */
export class Tile {
  readonly root = element('article', 'tile');
  readonly #video = element('video');
  readonly #audio = element('audio');
  readonly #name = element('strong', 'who');
  readonly #badges = element('div', 'badges');
  readonly #pin = button('pin', 'Pin');
  #shown: { video: Track | undefined; audio: Track | undefined } = { video: undefined, audio: undefined };
  #stream: Stream;

  /** `pin` is called when this tile is to be shown large, or no longer; `sized` when the picture's shape is known or changed. */
  constructor(stream: Stream, pin: () => void, sized: () => void) {
    this.#stream = stream;
    this.root.dataset['user'] = stream.user;
    this.root.dataset['streamId'] = stream.streamId;
    this.root.dataset['local'] = String(stream.local);
    this.root.dataset['screen'] = String(stream.screen);
    this.root.setAttribute('aria-label', `Stream ${stream.streamId} of ${stream.name}`);

    this.#video.playsInline = true;
    this.#video.muted = true;
    this.#video.setAttribute('aria-label', `Picture of stream ${stream.streamId}`);
    this.#video.addEventListener('resize', sized);
    const initial = element('span', 'initial', [...stream.name][0]?.toUpperCase() ?? '?');
    initial.ariaHidden = 'true';

    const full = button('full', 'Full screen');
    full.setAttribute('aria-label', `Full screen: stream ${stream.streamId}`);
    full.addEventListener('click', () => void this.#fullScreen());
    this.#pin.setAttribute('aria-label', `Show large: stream ${stream.streamId}`);
    this.#pin.addEventListener('click', pin);
    const buttons = element('div', 'tile-buttons');
    buttons.append(this.#pin, full);

    const caption = element('div', 'caption');
    caption.append(this.#name, this.#badges);
    this.root.append(initial, this.#video, this.#audio, caption, buttons);
    this.update(stream);
  }

  /** The track of the stream's sound, as statistics name it. */
  get soundTrack(): string | undefined {
    const { audio } = this.#stream;
    return audio?.isMuted ? undefined : audio?.track?.mediaStreamTrack.id;
  }

  /** Width over height of the picture; undefined when there is none. */
  get aspect(): number | undefined {
    const { videoWidth, videoHeight } = this.#video;
    return this.#stream.video && videoHeight > 0 ? videoWidth / videoHeight : undefined;
  }

  /** Whether it is a shared screen. */
  get screen(): boolean {
    return this.#stream.screen;
  }

  /** Shows the stream as it is now. */
  update(stream: Stream): void {
    this.#stream = stream;
    const who = stream.local ? `${stream.name} (you)` : stream.name;
    this.#name.textContent = stream.screen ? `${who}: screen` : who;
    this.#name.title = `Stream ${stream.streamId}`;
    this.#show('video', this.#video, stream.video);
    // Our own sound stays silent: it would come back through the microphone.
    this.#show('audio', this.#audio, stream.local ? undefined : stream.audio);
    this.root.dataset['picture'] = String(stream.video?.track !== undefined && !stream.video.isMuted);
    const badges = [badge('Camera', stream.video, 'off', 'no picture')];
    if (!stream.screen) {
      badges.push(badge('Microphone', stream.audio, 'muted', 'no sound'));
    }
    this.#badges.replaceChildren(...badges.filter((one) => one !== undefined));
    this.root.dataset['audio'] = condition(stream.audio);
    this.root.dataset['video'] = condition(stream.video);
  }

  /** Goes where it belongs; `pinned` says that it is the large one because somebody wanted that. */
  place(box: Box, pinned: boolean): void {
    const { style } = this.root;
    style.left = `${box.x}px`;
    style.top = `${box.y}px`;
    style.width = `${box.width}px`;
    style.height = `${box.height}px`;
    this.root.dataset['narrow'] = String(box.width < 200);
    this.#pin.ariaPressed = String(pinned);
    this.#pin.title = pinned ? 'No longer large' : 'Show large';
  }

  /** Whether somebody speaks in it. */
  set speaking(speaking: boolean) {
    this.root.dataset['speaking'] = String(speaking);
  }

  /** 0 to 1. */
  set volume(volume: number) {
    this.#audio.volume = volume;
  }

  /** Lets go of the tracks and leaves the page. */
  remove(): void {
    this.#show('video', this.#video, undefined);
    this.#show('audio', this.#audio, undefined);
    this.root.remove();
  }

  #show(kind: 'video' | 'audio', target: HTMLMediaElement, publication: TrackPublication | undefined): void {
    const track = publication?.track;
    const shown = this.#shown[kind];
    if (shown === track) {
      return;
    }
    shown?.detach(target);
    track?.attach(target);
    this.#shown[kind] = track;
  }

  async #fullScreen(): Promise<void> {
    if (document.fullscreenElement) {
      await document.exitFullscreen();
    } else {
      await this.root.requestFullscreen?.();
    }
  }
}

function button(name: string, title: string): HTMLButtonElement {
  const made = element('button', name);
  made.type = 'button';
  made.title = title;
  made.append(icon(name));
  return made;
}

function badge(label: string, publication: TrackPublication | undefined, muted: string, missing: string) {
  if (publication && !publication.isMuted) {
    return undefined;
  }
  return element('span', 'badge', publication ? `${label} ${muted}` : missing);
}

function condition(publication: TrackPublication | undefined): string {
  return publication === undefined ? 'none' : publication.isMuted ? 'muted' : 'on';
}
