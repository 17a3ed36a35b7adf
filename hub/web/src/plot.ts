/** A small plot of one figure over the last minute. */
import { drawn, element } from './dom';

/** Readings that a plot shows; there is one a second. */
const SPAN = 60;
const WIDTH = 240;
const HEIGHT = 40;

/** What a plot shows. */
export interface PlotKind {
  title: string;
  unit: string;
  /** Digits after the point. */
  digits: number;
  /** The scale ends here at least, so that a still line does not look like a storm. */
  least: number;
}

/** A title, the last value, and a line. */
export class Plot {
  readonly root = element('div', 'plot');
  readonly #kind: PlotKind;
  readonly #value = element('b');
  readonly #top = element('span', 'plot-top');
  readonly #line = drawn('path', { class: 'line' });
  readonly #area = drawn('path', { class: 'area' });
  readonly #svg = drawn('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' });
  #readings: (number | undefined)[] = [];

  constructor(kind: PlotKind) {
    this.#kind = kind;
    const head = element('p');
    head.append(element('span', '', kind.title), this.#value, this.#top);
    this.#svg.append(this.#area, this.#line);
    this.root.dataset['plot'] = kind.title.toLowerCase();
    this.root.append(head, this.#svg);
    this.#draw();
  }

  /** Takes the newest reading; `undefined` leaves a hole in the line. */
  add(reading: number | undefined): void {
    this.#readings.push(reading);
    if (this.#readings.length > SPAN) {
      this.#readings.shift();
    }
    this.#draw();
  }

  #draw(): void {
    const { title, unit, digits, least } = this.#kind;
    const known = this.#readings.filter((one) => one !== undefined);
    const top = Math.max(least, ...known);
    const last = this.#readings.at(-1);
    this.#value.textContent = last === undefined ? '–' : `${last.toFixed(digits)} ${unit}`;
    this.#top.textContent = `0–${top.toFixed(top < 10 ? digits : 0)}`;
    const now = last === undefined ? 'not known' : `now ${last.toFixed(digits)} ${unit}`;
    this.#svg.setAttribute('aria-label', `${title} over the last minute: ${now}, at most ${Math.max(0, ...known).toFixed(digits)}`);

    let line = '';
    let area = '';
    let from: number | undefined;
    const at = (index: number) => ((index + SPAN - this.#readings.length) * WIDTH) / (SPAN - 1);
    this.#readings.forEach((reading, index) => {
      if (reading === undefined) {
        from = undefined;
        return;
      }
      const point = `${at(index).toFixed(1)} ${(HEIGHT - 1 - (reading / top) * (HEIGHT - 3)).toFixed(1)}`;
      line += `${from === undefined ? 'M' : 'L'}${point}`;
      from ??= at(index);
      area += `${area.endsWith('Z') || area === '' ? `M${from.toFixed(1)} ${HEIGHT}` : ''}L${point}`;
      if (index === this.#readings.length - 1 || this.#readings[index + 1] === undefined) {
        area += `L${at(index).toFixed(1)} ${HEIGHT}Z`;
      }
    });
    this.#line.setAttribute('d', line);
    this.#area.setAttribute('d', area);
  }
}
