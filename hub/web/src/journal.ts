/** The list of events at the bottom of the page. */

const LIMIT = 300;

/** How much an event matters. */
export type Weight = 'plain' | 'good' | 'bad';

/** Appends events with their time; forgets the oldest. */
export class Journal {
  readonly #list: HTMLElement;

  constructor(list: HTMLElement) {
    this.#list = list;
  }

  /** Adds an event. `text` must not contain tokens. */
  add(text: string, weight: Weight = 'plain'): void {
    const entry = document.createElement('li');
    entry.dataset['weight'] = weight;
    const now = new Date();
    const time = document.createElement('time');
    time.dateTime = now.toISOString();
    time.textContent = now.toLocaleTimeString(undefined, { hour12: false });
    entry.append(time, document.createTextNode(text));
    // Keep to the end only when the reader is there already.
    const atEnd = this.#list.scrollTop + this.#list.clientHeight >= this.#list.scrollHeight - 24;
    this.#list.append(entry);
    while (this.#list.childElementCount > LIMIT) {
      this.#list.firstElementChild?.remove();
    }
    if (atEnd) {
      this.#list.scrollTop = this.#list.scrollHeight;
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.#list.replaceChildren();
  }
}
