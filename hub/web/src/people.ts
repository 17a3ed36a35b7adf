/** The list of everybody in the room. */
import { element } from './dom';
import type { Person } from './session';
import { qualityWord } from './words';

/** Shows people; touches the page only when something changed. */
export class People {
  readonly #list: HTMLElement;
  #shown = '';

  constructor(list: HTMLElement) {
    this.#list = list;
  }

  /** `losses`: the worst loss of each user's streams, for servers that do not judge connections. */
  show(people: Person[], losses: Map<string, number>): void {
    const rows = people.map((person) => ({ person, quality: qualityWord(person.quality, losses.get(person.user)) }));
    const all = JSON.stringify(rows);
    if (all === this.#shown) {
      return;
    }
    this.#shown = all;
    this.#list.replaceChildren(...rows.map(({ person, quality }) => row(person, quality)));
  }
}

function row(person: Person, quality: string): HTMLElement {
  const item = element('li');
  item.dataset['user'] = person.user;
  item.dataset['quality'] = quality;
  item.append(element('span', '', person.local ? `${person.name} (you)` : person.name));
  if (person.name !== person.user) {
    item.append(element('code', '', person.user));
  }
  if (quality) {
    const word = element('span', 'quality-word', quality);
    word.title = 'Connection quality';
    item.append(word);
  }
  return item;
}
