/** The chat's list of messages. */
import { byId, element } from './dom';
import type { Message } from './messages';

const LIMIT = 300;

/** Shows messages and forgets the oldest. */
export class Chat {
  readonly #list = byId('messages', HTMLOListElement);

  /** Adds a message; `own` was sent from here. */
  add(message: Message, own: boolean): void {
    const entry = element('li', own ? 'own' : '');
    const head = element('p', 'from');
    const time = element('time', '', message.at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' }));
    time.dateTime = message.at.toISOString();
    head.append(element('b', '', own ? 'You' : message.user), time);
    entry.append(head, element('p', 'text', message.text));
    this.#list.append(entry);
    while (this.#list.childElementCount > LIMIT) {
      this.#list.firstElementChild?.remove();
    }
    byId('no-messages', HTMLParagraphElement).hidden = true;
    this.scroll();
  }

  /** To the newest. */
  scroll(): void {
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  /** Forgets everything: another room's messages are none of this one's business. */
  clear(): void {
    this.#list.replaceChildren();
    byId('no-messages', HTMLParagraphElement).hidden = false;
  }
}
