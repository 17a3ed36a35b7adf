/** The tiles of all streams. */
import type { Stream } from './session';
import { Tile } from './tile';

const MEASURE_EVERY_MS = 1000;

/** What was measured over all tiles. */
export interface Sums {
  /** kbit/s. */
  received: number;
  /** kbit/s. */
  sent: number;
  /** The worst loss of each user's streams, 0 to 1; a user without figures is not in it. */
  losses: Map<string, number>;
}

/** Keeps one tile per stream, and their figures up to date while there are any. */
export class Stage {
  readonly #grid: HTMLElement;
  readonly #tiles = new Map<string, Tile>();
  readonly #measured: (sums: Sums) => void;
  #timer: number | undefined;

  constructor(grid: HTMLElement, measured: (sums: Sums) => void) {
    this.#grid = grid;
    this.#measured = measured;
  }

  /** Shows exactly these streams, in this order. */
  update(streams: Stream[]): void {
    const wanted = new Set(streams.map((stream) => stream.key));
    for (const [key, tile] of this.#tiles) {
      if (!wanted.has(key)) {
        tile.remove();
        this.#tiles.delete(key);
      }
    }
    let before: Element | null = this.#grid.firstElementChild;
    for (const stream of streams) {
      let tile = this.#tiles.get(stream.key);
      if (tile) {
        tile.update(stream);
      } else {
        tile = new Tile(stream);
        this.#tiles.set(stream.key, tile);
      }
      if (tile.root === before) {
        before = before.nextElementSibling;
      } else {
        // Only a tile that is out of place is moved: moving one stops its video for a moment.
        this.#grid.insertBefore(tile.root, before);
      }
    }
    this.#schedule();
  }

  /** How many streams are shown. */
  get count(): number {
    return this.#tiles.size;
  }

  #schedule(): void {
    if (this.#tiles.size === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    } else {
      this.#timer ??= setTimeout(() => void this.#measure(), MEASURE_EVERY_MS);
    }
  }

  async #measure(): Promise<void> {
    const sums: Sums = { received: 0, sent: 0, losses: new Map() };
    for (const tile of [...this.#tiles.values()]) {
      const { video, audio } = await tile.measure();
      const kbps = (video.kbps ?? 0) + (audio.kbps ?? 0);
      sums[tile.root.dataset['local'] === 'true' ? 'sent' : 'received'] += kbps;
      const user = tile.root.dataset['user'] ?? '';
      for (const loss of [video.loss, audio.loss]) {
        if (loss !== undefined) {
          sums.losses.set(user, Math.max(sums.losses.get(user) ?? 0, loss));
        }
      }
    }
    this.#timer = undefined;
    if (this.#tiles.size > 0) {
      this.#measured(sums);
    }
    this.#schedule();
  }
}
