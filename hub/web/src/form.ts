/** The page's fields: filled from the address, read when a button is pressed, remembered nowhere else. */
import { byId } from './dom';
import type { PublishWish } from './publisher';
import { ownServer, type Place } from './server';
import type { Transport } from './session';
import { defaultStreamId } from './streams';
import { peek } from './token';

/** What the address of the page asked for besides filling fields. */
export interface Wishes {
  join: boolean;
  publish: boolean;
}

const input = (id: string) => byId(id, HTMLInputElement);
const select = (id: string) => byId(id, HTMLSelectElement);

/** The fields. */
export class Form {
  readonly #token = byId('token', HTMLTextAreaElement);
  #streamTyped = false;

  constructor() {
    input('user').addEventListener('input', () => this.#suggestStream());
    input('stream').addEventListener('input', () => (this.#streamTyped = input('stream').value !== ''));
    this.#token.addEventListener('input', () => this.#fillFromToken());
  }

  /**
   * Fills the fields from the page's address, and takes the token out of it: it belongs into no history and no bookmark.
   * What stands behind `#` is never sent to a server: the place for tokens.
   */
  fill(location: Location, history: History): Wishes {
    const query = new URLSearchParams(location.search);
    new URLSearchParams(location.hash.slice(1)).forEach((value, key) => query.set(key, value));
    input('server').value = query.get('server') || ownServer(location);
    for (const id of ['app_id', 'room', 'user', 'name', 'stream']) {
      input(id).value = query.get(id) ?? '';
    }
    this.#token.value = query.get('token') ?? '';
    for (const id of ['codec', 'size', 'transport']) {
      const wish = query.get(id)?.toLowerCase();
      if (wish && [...select(id).options].some((option) => option.value === wish)) {
        select(id).value = wish;
      }
    }
    for (const [id, key] of [
      ['with-camera', 'camera'],
      ['with-microphone', 'microphone'],
      ['processing', 'processing'],
    ] as const) {
      input(id).checked = query.get(key) !== '0';
    }
    this.#streamTyped = input('stream').value !== '';
    this.#fillFromToken();
    this.#suggestStream();
    if (query.has('token')) {
      query.delete('token');
      const rest = query.toString();
      history.replaceState(null, '', location.pathname + (rest ? `?${rest}` : ''));
    }
    byId('publish-at-once', HTMLInputElement).checked = query.get('publish') === '1';
    return { join: query.get('join') === '1', publish: query.get('publish') === '1' };
  }

  /** The page's address with the fields as they are; the token stands where it is not sent. */
  link(location: Location): string {
    const url = new URL(location.pathname, location.origin);
    for (const id of ['app_id', 'room', 'user', 'name']) {
      if (input(id).value.trim()) {
        url.searchParams.set(id, input(id).value.trim());
      }
    }
    if (input('server').value.trim() !== ownServer(location)) {
      url.searchParams.set('server', input('server').value.trim());
    }
    const token = this.#token.value.trim();
    url.hash = token ? new URLSearchParams({ token }).toString() : '';
    return url.toString();
  }

  /** Whether to publish as soon as the room is joined. */
  get publishAtOnce(): boolean {
    return byId('publish-at-once', HTMLInputElement).checked;
  }

  /** Where to join, as typed. */
  place(): Place & { appId: string; transport: Transport } {
    return {
      appId: input('app_id').value.trim(),
      server: input('server').value.trim(),
      room: input('room').value.trim(),
      user: input('user').value.trim(),
      name: input('name').value.trim(),
      token: this.#token.value.trim(),
      transport: select('transport').value === 'v0' ? 'v0' : 'v1',
    };
  }

  /** What to publish, as typed. */
  wish(): PublishWish {
    const [width = 640, height = 480] = select('size').value.split('x').map(Number);
    return {
      streamId: input('stream').value.trim(),
      codec: select('codec').value === 'h264' ? 'h264' : 'vp8',
      width,
      height,
      camera: input('with-camera').checked,
      microphone: input('with-microphone').checked,
      processing: input('processing').checked,
    };
  }

  /** The first field that must be filled and is not, marked and focused; undefined when all are. */
  missing(): string | undefined {
    const required: [HTMLInputElement | HTMLTextAreaElement, string][] = [
      [input('room'), 'The room is empty: give its id, such as lobby [1002011]'],
      [input('user'), 'The user is empty: give your user id [1002005]'],
      [input('server'), 'The server is empty: give its address, such as ws://192.168.1.10:7880 [1002030]'],
      [this.#token, 'The token is empty: zegoctl token makes one for this AppID, room and user [1002067]'],
    ];
    let sentence: string | undefined;
    for (const [field, words] of required) {
      const empty = field.value.trim() === '';
      field.ariaInvalid = String(empty);
      if (empty && sentence === undefined) {
        sentence = words;
        field.closest('details')?.setAttribute('open', '');
        field.focus();
      }
    }
    return sentence;
  }

  /** Locks the room's fields while they are in use. */
  lockPlace(locked: boolean): void {
    lock('fields', locked);
  }

  /** Locks the stream's fields while they are in use. */
  lockWish(locked: boolean): void {
    lock('publish-fields', locked);
  }

  #suggestStream(): void {
    if (!this.#streamTyped) {
      input('stream').value = defaultStreamId(input('user').value.trim());
    }
  }

  /** A LiveKit token says whom it is for: empty fields take it from there. */
  #fillFromToken(): void {
    const claims = peek(this.#token.value.trim());
    if (!claims) {
      return;
    }
    for (const [id, value] of [
      ['app_id', claims.appId],
      ['room', claims.room],
      ['user', claims.user],
    ] as const) {
      input(id).value ||= value;
    }
    this.#suggestStream();
  }
}

function lock(group: string, locked: boolean): void {
  for (const field of document.querySelectorAll<HTMLInputElement>(`#${group} :is(input, select, textarea)`)) {
    field.disabled = locked;
  }
}
