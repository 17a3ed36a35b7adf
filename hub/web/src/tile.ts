/** One stream on the page: picture, sound, who it is, and figures. */
import type { Track, TrackPublication } from 'livekit-client';
import type { Stream } from './session';
import { type Figures, Meter } from './statistics';

/** The elements of one stream. `root` goes into the page. */
export class Tile {
  readonly root: HTMLElement;
  readonly #picture: HTMLElement;
  readonly #video: HTMLVideoElement;
  readonly #audio: HTMLAudioElement;
  readonly #name: HTMLElement;
  readonly #badges: HTMLElement;
  readonly #figures: Record<'video' | 'audio', HTMLElement>;
  readonly #volume: HTMLInputElement;
  readonly #meters = { video: new Meter(), audio: new Meter() };
  #shown: { video: Track | undefined; audio: Track | undefined } = { video: undefined, audio: undefined };
  #stream: Stream;

  constructor(stream: Stream) {
    this.#stream = stream;
    this.root = element('article', 'tile');
    this.root.dataset['user'] = stream.user;
    this.root.dataset['streamId'] = stream.streamId;
    this.root.dataset['local'] = String(stream.local);
    this.root.setAttribute('aria-label', `Stream ${stream.streamId} of ${stream.name}`);

    this.#video = element('video');
    this.#video.playsInline = true;
    this.#video.muted = true;
    this.#video.setAttribute('aria-label', `Picture of stream ${stream.streamId}`);
    this.#audio = element('audio');
    const initial = element('span', 'initial');
    initial.textContent = [...stream.name][0]?.toUpperCase() ?? '?';
    initial.ariaHidden = 'true';
    this.#badges = element('div', 'badges');
    const full = element('button', 'full quiet');
    full.type = 'button';
    full.textContent = '⛶';
    full.title = 'Full screen';
    full.setAttribute('aria-label', `Full screen: stream ${stream.streamId}`);
    full.addEventListener('click', () => void this.#fullScreen());
    this.#picture = element('div', 'picture');
    this.#picture.append(initial, this.#video, this.#audio, this.#badges, full);

    this.#name = element('strong', 'who');
    const id = element('code', 'stream-id');
    id.textContent = stream.streamId;
    id.title = 'Stream id';
    this.#volume = element('input', 'volume');
    this.#volume.type = 'range';
    this.#volume.min = '0';
    this.#volume.max = '100';
    this.#volume.value = '100';
    this.#volume.title = 'Volume';
    this.#volume.setAttribute('aria-label', `Volume of stream ${stream.streamId}`);
    this.#volume.addEventListener('input', () => (this.#audio.volume = Number(this.#volume.value) / 100));
    const caption = element('div', 'caption');
    caption.append(this.#name, id);
    if (!stream.local) {
      caption.append(this.#volume);
    }

    this.#figures = { video: element('p', 'figures'), audio: element('p', 'figures') };
    this.root.append(this.#picture, caption, this.#figures.video, this.#figures.audio);
    this.update(stream);
  }

  /** Shows the stream as it is now. */
  update(stream: Stream): void {
    this.#stream = stream;
    this.#name.textContent = stream.local ? `${stream.name} (you)` : stream.name;
    this.#show('video', this.#video, stream.video);
    // Our own sound stays silent: it would come back through the microphone.
    this.#show('audio', this.#audio, stream.local ? undefined : stream.audio);
    const seen = stream.video?.track !== undefined && !stream.video.isMuted;
    this.root.dataset['picture'] = String(seen);
    this.#volume.disabled = stream.audio === undefined;
    this.#badges.replaceChildren(
      ...[badge('Camera', stream.video, 'off', 'no picture'), badge('Microphone', stream.audio, 'muted', 'no sound')].filter(
        (one) => one !== undefined,
      ),
    );
    this.root.dataset['audio'] = condition(stream.audio);
    this.root.dataset['video'] = condition(stream.video);
  }

  /** Reads the statistics and shows them. */
  async measure(): Promise<{ video: Figures; audio: Figures }> {
    const [video, audio] = await Promise.all([
      this.#measure('video', this.#stream.video?.track),
      this.#measure('audio', this.#stream.audio?.track),
    ]);
    return { video, audio };
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
    this.#meters[kind] = new Meter();
    this.#figures[kind].replaceChildren();
  }

  async #measure(kind: 'video' | 'audio', track: Track | undefined): Promise<Figures> {
    const report = await track?.getRTCStatsReport();
    if (!report) {
      return {};
    }
    const meter = this.#meters[kind];
    const figures = this.#stream.local ? meter.sent(report) : meter.received(report);
    const label = element('span', 'kind');
    label.textContent = kind === 'video' ? 'Video' : 'Audio';
    this.#figures[kind].replaceChildren(label, ...worded(figures).map(([key, text]) => figure(key, text)));
    return figures;
  }

  async #fullScreen(): Promise<void> {
    if (document.fullscreenElement) {
      await document.exitFullscreen();
    } else {
      await this.#picture.requestFullscreen?.();
    }
  }
}

/** Figures as short texts, in the order they are shown; what was not measured is left out. */
function worded(figures: Figures): [key: string, text: string][] {
  const texts: [string, string | undefined][] = [
    ['codec', figures.codec],
    ['size', figures.width && figures.height ? `${figures.width}×${figures.height}` : undefined],
    ['fps', measured(figures.fps, (fps) => `${Math.round(fps)} fps`)],
    ['kbps', measured(figures.kbps, (kbps) => `${Math.round(kbps)} kbit/s`)],
    ['loss', measured(figures.loss, (loss) => `loss ${(loss * 100).toFixed(1)} %`)],
    ['jitter', measured(figures.jitter, (jitter) => `jitter ${Math.round(jitter)} ms`)],
    ['rtt', measured(figures.rtt, (rtt) => `RTT ${Math.round(rtt)} ms`)],
    ['limited', measured(figures.limited, (by) => `limited by ${by}`)],
  ];
  return texts.filter((entry): entry is [string, string] => entry[1] !== undefined);
}

function measured<T>(value: T | undefined, words: (value: T) => string): string | undefined {
  return value === undefined ? undefined : words(value);
}

function figure(key: string, text: string): HTMLElement {
  const span = element('span');
  span.dataset['figure'] = key;
  span.textContent = text;
  return span;
}

function badge(label: string, publication: TrackPublication | undefined, muted: string, missing: string) {
  if (publication && !publication.isMuted) {
    return undefined;
  }
  const span = element('span', 'badge');
  span.textContent = publication ? `${label} ${muted}` : missing;
  return span;
}

function condition(publication: TrackPublication | undefined): string {
  return publication === undefined ? 'none' : publication.isMuted ? 'muted' : 'on';
}

function element<K extends keyof HTMLElementTagNameMap>(tag: K, className = ''): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.className = className;
  return made;
}
