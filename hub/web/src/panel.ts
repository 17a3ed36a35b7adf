/** The side panel: one of its tabs at a time, or none. */
import { byId } from './dom';

const TABS = ['chat', 'people', 'figures', 'settings', 'events'] as const;
/** A tab of the panel. */
export type Tab = (typeof TABS)[number];

/** Opens, changes and closes. Tabs follow the arrow keys, Escape closes, and the focus goes back to where it came from. */
export class Panel {
  readonly #root = byId('panel', HTMLElement);
  readonly #changed: (shown: Tab | undefined) => void;
  #tab: Tab = 'settings';
  #opener: HTMLElement | undefined;

  constructor(changed: (shown: Tab | undefined) => void) {
    this.#changed = changed;
    for (const [at, tab] of TABS.entries()) {
      const button = byId(`tab-${tab}`, HTMLButtonElement);
      button.addEventListener('click', () => this.open(tab));
      button.addEventListener('keydown', (event) => {
        const step = { ArrowRight: 1, ArrowLeft: TABS.length - 1 }[event.key];
        const next = step === undefined ? undefined : TABS[(at + step) % TABS.length];
        if (next) {
          event.preventDefault();
          this.open(next);
          byId(`tab-${next}`, HTMLButtonElement).focus();
        }
      });
    }
    byId('close-panel', HTMLButtonElement).addEventListener('click', () => this.close());
    this.#root.addEventListener('keydown', (event) => event.key === 'Escape' && this.close());
    this.#show();
  }

  /** The tab that is to be seen. */
  get shown(): Tab | undefined {
    return this.#root.hidden ? undefined : this.#tab;
  }

  /** Shows a tab; without one, the last that was shown. */
  open(tab: Tab = this.#tab): void {
    this.#tab = tab;
    this.#root.hidden = false;
    this.#show();
  }

  /** A button's press: opens the tab and goes into it, or closes it when it is shown already. */
  toggle(opener: HTMLElement, tab?: Tab): void {
    if (this.shown !== undefined && (tab === undefined || tab === this.shown)) {
      this.close();
      return;
    }
    this.open(tab);
    this.#opener = opener;
    (tab === 'chat' ? byId('chat-text', HTMLInputElement) : byId(`tab-${this.#tab}`, HTMLButtonElement)).focus();
  }

  /** Shows none. */
  close(): void {
    const inside = this.#root.contains(document.activeElement);
    this.#root.hidden = true;
    this.#show();
    if (inside) {
      (this.#opener ?? byId('open-panel', HTMLButtonElement)).focus();
    }
  }

  #show(): void {
    for (const tab of TABS) {
      const button = byId(`tab-${tab}`, HTMLButtonElement);
      const chosen = tab === this.#tab;
      button.ariaSelected = String(chosen);
      button.tabIndex = chosen ? 0 : -1;
      byId(`panel-${tab}`, HTMLElement).hidden = !chosen;
    }
    byId('open-panel', HTMLButtonElement).ariaExpanded = String(!this.#root.hidden);
    byId('open-chat', HTMLButtonElement).ariaExpanded = String(this.shown === 'chat');
    this.#changed(this.shown);
  }
}
