/** The figures of all streams, read once a second while there are any. */
import { StreamFigures } from './stream-figures';
import type { Stream } from './session';

const MEASURE_EVERY_MS = 1000;

/** What was measured over all streams. */
export interface Sums {
  /** kbit/s. */
  received: number;
  /** kbit/s. */
  sent: number;
  /** The worst loss of each user's streams, 0 to 1; a user without figures is not in it. */
  losses: Map<string, number>;
}

/** Keeps one section of figures per stream. */
export class FigureList {
  readonly #list: HTMLElement;
  readonly #sections = new Map<string, StreamFigures>();
  readonly #measured: (sums: Sums) => void;
  readonly #volume: (key: string, volume: number) => void;
  #timer: number | undefined;

  /** `measured` hears of every reading, `volume` of a stream's volume (0 to 1) when somebody changes it. */
  constructor(list: HTMLElement, measured: (sums: Sums) => void, volume: (key: string, volume: number) => void) {
    this.#list = list;
    this.#measured = measured;
    this.#volume = volume;
  }

  /** Has exactly these streams, in this order. */
  update(streams: Stream[]): void {
    const wanted = new Set(streams.map((stream) => stream.key));
    for (const [key, section] of this.#sections) {
      if (!wanted.has(key)) {
        section.root.remove();
        this.#sections.delete(key);
      }
    }
    for (const [at, stream] of streams.entries()) {
      let section = this.#sections.get(stream.key);
      if (section) {
        section.update(stream);
      } else {
        section = new StreamFigures(stream, (volume) => this.#volume(stream.key, volume));
        this.#sections.set(stream.key, section);
      }
      if (this.#list.children[at] !== section.root) {
        this.#list.insertBefore(section.root, this.#list.children[at] ?? null);
      }
    }
    this.#schedule();
  }

  #schedule(): void {
    if (this.#sections.size === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    } else {
      this.#timer ??= setTimeout(() => void this.#measure(), MEASURE_EVERY_MS);
    }
  }

  async #measure(): Promise<void> {
    const sums: Sums = { received: 0, sent: 0, losses: new Map() };
    for (const section of [...this.#sections.values()]) {
      const { video, audio } = await section.measure();
      sums[section.stream.local ? 'sent' : 'received'] += (video.kbps ?? 0) + (audio.kbps ?? 0);
      for (const loss of [video.loss, audio.loss]) {
        if (loss !== undefined) {
          const { user } = section.stream;
          sums.losses.set(user, Math.max(sums.losses.get(user) ?? 0, loss));
        }
      }
    }
    this.#timer = undefined;
    if (this.#sections.size > 0) {
      this.#measured(sums);
    }
    this.#schedule();
  }
}
