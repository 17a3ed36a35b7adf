/** The tiles of all streams, and where each of them is. */
import { grid, spotlight } from './layout';
import type { Stream } from './session';
import { Tile } from './tile';

/** A tile's shape when nobody has a picture yet. */
const USUAL_ASPECT = 4 / 3;

/** Keeps one tile per stream and lays them out: all alike, or a shared screen or a pinned one large. */
export class Stage {
  readonly #place: HTMLElement;
  readonly #tiles = new Map<string, Tile>();
  #pinned: string | undefined;

  constructor(place: HTMLElement) {
    this.#place = place;
    new ResizeObserver(() => this.#layOut()).observe(place);
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
    let before: Element | null = this.#place.firstElementChild;
    for (const stream of streams) {
      let tile = this.#tiles.get(stream.key);
      if (tile) {
        tile.update(stream);
      } else {
        tile = new Tile(
          stream,
          () => this.#togglePin(stream.key),
          () => this.#layOut(),
        );
        this.#tiles.set(stream.key, tile);
      }
      if (tile.root === before) {
        before = before.nextElementSibling;
      } else {
        // Only a tile that is out of place is moved: moving one stops its video for a moment.
        this.#place.insertBefore(tile.root, before);
      }
    }
    this.#layOut();
  }

  /** How many streams are shown. */
  get count(): number {
    return this.#tiles.size;
  }

  /** Marks the tiles whose sound is among these tracks. */
  speaking(tracks: Set<string>): void {
    for (const tile of this.#tiles.values()) {
      tile.speaking = tile.soundTrack !== undefined && tracks.has(tile.soundTrack);
    }
  }

  /** How loud a stream is played, 0 to 1. */
  volume(key: string, volume: number): void {
    const tile = this.#tiles.get(key);
    if (tile) {
      tile.volume = volume;
    }
  }

  #togglePin(key: string): void {
    this.#pinned = this.#pinned === key ? undefined : key;
    this.#layOut();
  }

  #layOut(): void {
    const keys = [...this.#place.children].map((root) => this.#keyOf(root));
    const tiles = keys.map((key) => this.#tiles.get(key)).filter((tile) => tile !== undefined);
    if (tiles.length === 0) {
      return;
    }
    const place = { x: 0, y: 0, width: this.#place.clientWidth, height: this.#place.clientHeight };
    const pinned = this.#pinned === undefined ? -1 : keys.indexOf(this.#pinned);
    const large = pinned >= 0 ? pinned : tiles.findIndex((tile) => tile.screen);
    const aspect = usualAspect(tiles);
    const boxes =
      large >= 0 ? spotlight(tiles.length, large, place, aspect) : grid(tiles.length, place, aspect);
    this.#place.dataset['large'] = String(large >= 0);
    tiles.forEach((tile, index) => {
      tile.root.dataset['large'] = String(index === large);
      const box = boxes[index];
      if (box) {
        tile.place(box, index === pinned);
      }
    });
  }

  #keyOf(root: Element): string {
    for (const [key, tile] of this.#tiles) {
      if (tile.root === root) {
        return key;
      }
    }
    return '';
  }
}

/** The shape that most pictures fit: the middle one, but neither a tower nor a slit. */
function usualAspect(tiles: Tile[]): number {
  const aspects = tiles.filter((tile) => !tile.screen).map((tile) => tile.aspect);
  const known = aspects.filter((one) => one !== undefined).sort((a, b) => a - b);
  const middle = known[Math.floor(known.length / 2)] ?? USUAL_ASPECT;
  return Math.min(16 / 9, Math.max(3 / 4, middle));
}
