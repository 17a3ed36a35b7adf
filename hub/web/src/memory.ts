/** What this browser remembers between visits. A browser that keeps nothing (private windows) only forgets. */

/** Names of what is remembered. */
export type Remembered = 'theme' | 'camera' | 'microphone' | 'speaker' | 'shortcuts';

/** The value; empty when there is none. */
export function recall(name: Remembered): string {
  try {
    return localStorage.getItem(`zegohub.${name}`) ?? '';
  } catch {
    return '';
  }
}

/** Keeps a value; an empty one is forgotten. */
export function remember(name: Remembered, value: string): void {
  try {
    if (value) {
      localStorage.setItem(`zegohub.${name}`, value);
    } else {
      localStorage.removeItem(`zegohub.${name}`);
    }
  } catch {
    // Nothing can be kept here: the choice holds until the page is closed.
  }
}
