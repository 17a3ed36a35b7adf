/** One stream's figures: words for now, plots for the last minute, and what can be set about it. */
import { type RemoteTrackPublication, type Track, VideoQuality } from 'livekit-client';
import { element } from './dom';
import { Plot } from './plot';
import type { Stream } from './session';
import { type Figures, Meter } from './statistics';

/** The figures of one stream. `root` goes into the page. */
export class StreamFigures {
  readonly root = element('article', 'stream-figures');
  readonly #lines = { video: element('p', 'figures'), audio: element('p', 'figures') };
  readonly #plots = {
    rate: new Plot({ title: 'Bit rate', unit: 'kbit/s', digits: 0, least: 100 }),
    loss: new Plot({ title: 'Loss', unit: '%', digits: 1, least: 5 }),
    delay: new Plot({ title: 'Round trip', unit: 'ms', digits: 0, least: 20 }),
    buffer: new Plot({ title: 'Waits here', unit: 'ms', digits: 0, least: 50 }),
    fps: new Plot({ title: 'Pictures', unit: '/s', digits: 0, least: 30 }),
  };
  readonly #layer = element('label', 'layer');
  #meters = { video: new Meter(), audio: new Meter() };
  #measured: { video: Track | undefined; audio: Track | undefined } = { video: undefined, audio: undefined };
  #stream: Stream;

  constructor(stream: Stream, volume: (volume: number) => void) {
    this.#stream = stream;
    this.root.dataset['streamId'] = stream.streamId;
    this.root.setAttribute('aria-label', `Figures of stream ${stream.streamId}`);
    const title = element('h2', '', stream.local ? `${stream.name} (you)` : stream.name);
    title.append(element('code', '', stream.streamId));
    const plots = element('div', 'plots');
    const { rate, loss, delay, buffer, fps } = this.#plots;
    // What is sent waits nowhere here.
    plots.append(...[rate, loss, delay, ...(stream.local ? [] : [buffer]), fps].map((plot) => plot.root));
    this.root.append(title, this.#lines.video, this.#lines.audio, plots);
    if (!stream.local) {
      const wishes = element('div', 'wishes');
      wishes.append(volumeField(volume), this.#layerField());
      this.root.append(wishes);
    }
    this.update(stream);
  }

  /** What is measured. */
  get stream(): Stream {
    return this.#stream;
  }

  /** Takes the stream as it is now. */
  update(stream: Stream): void {
    this.#stream = stream;
    this.#layer.hidden = !stream.video?.simulcasted;
  }

  /** Reads the statistics and shows them. */
  async measure(): Promise<{ video: Figures; audio: Figures }> {
    const { video: picture, audio: sound } = this.#stream;
    const [video, audio] = await Promise.all([
      this.#measure('video', picture?.track),
      this.#measure('audio', sound?.track),
    ]);
    const losses = [video.loss, audio.loss].filter((one) => one !== undefined);
    this.#plots.rate.add((video.kbps ?? 0) + (audio.kbps ?? 0));
    this.#plots.loss.add(losses.length > 0 ? Math.max(...losses) * 100 : undefined);
    this.#plots.delay.add(video.rtt ?? audio.rtt);
    this.#plots.buffer.add(video.buffer ?? audio.buffer);
    this.#plots.fps.add(video.fps);
    return { video, audio };
  }

  async #measure(kind: 'video' | 'audio', track: Track | undefined): Promise<Figures> {
    if (this.#measured[kind] !== track) {
      this.#measured[kind] = track;
      this.#meters[kind] = new Meter();
      this.#lines[kind].replaceChildren();
    }
    const report = await track?.getRTCStatsReport();
    if (!report) {
      return {};
    }
    const meter = this.#meters[kind];
    const figures = this.#stream.local ? meter.sent(report) : meter.received(report);
    const texts = worded(figures);
    const layer = kind === 'video' ? this.#layerShown(figures) : undefined;
    if (layer !== undefined) {
      texts.push(['layer', layer]);
    }
    const label = element('span', 'kind', kind === 'video' ? 'Video' : 'Audio');
    this.#lines[kind].replaceChildren(label, ...texts.map(([key, text]) => figure(key, text)));
    return figures;
  }

  /** Which of several layers comes here: by its height, as each layer has half the height of the next. */
  #layerShown(figures: Figures): string | undefined {
    const whole = this.#stream.video?.dimensions?.height;
    if (!this.#stream.video?.simulcasted || !whole || !figures.height) {
      return undefined;
    }
    const share = figures.height / whole;
    return `layer ${share > 0.75 ? 'high' : share > 0.35 ? 'medium' : 'low'}`;
  }

  #layerField(): HTMLElement {
    const select = element('select');
    for (const [word, quality] of [
      ['high', VideoQuality.HIGH],
      ['medium', VideoQuality.MEDIUM],
      ['low', VideoQuality.LOW],
    ] as const) {
      select.append(new Option(word, String(quality)));
    }
    select.addEventListener('change', () => {
      const video = this.#stream.video as RemoteTrackPublication | undefined;
      video?.setVideoQuality(Number(select.value) as VideoQuality);
    });
    this.#layer.append(element('span', '', 'Layer at most'), select);
    return this.#layer;
  }
}

function volumeField(changed: (volume: number) => void): HTMLElement {
  const slider = element('input', 'volume');
  slider.type = 'range';
  slider.min = '0';
  slider.max = '100';
  slider.value = '100';
  slider.addEventListener('input', () => changed(Number(slider.value) / 100));
  const label = element('label');
  label.append(element('span', '', 'Volume'), slider);
  return label;
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
    ['buffer', measured(figures.buffer, (buffer) => `waits ${Math.round(buffer)} ms`)],
    ['rtt', measured(figures.rtt, (rtt) => `RTT ${Math.round(rtt)} ms`)],
    ['limited', measured(figures.limited, (by) => `limited by ${by}`)],
  ];
  return texts.filter((entry): entry is [string, string] => entry[1] !== undefined);
}

function measured<T>(value: T | undefined, words: (value: T) => string): string | undefined {
  return value === undefined ? undefined : words(value);
}

function figure(key: string, text: string): HTMLElement {
  const span = element('span', '', text);
  span.dataset['figure'] = key;
  return span;
}
