/** Single keys for what is needed quickly. They can be switched off, because some people speak their keys. */
import { recall, remember } from './memory';

/** Listens to keys; `actions` by their letter. `toggle` switches them off and on, which is remembered. */
export function listenToKeys(toggle: HTMLInputElement, actions: Record<string, () => void>): void {
  toggle.checked = recall('shortcuts') !== 'off';
  toggle.addEventListener('change', () => remember('shortcuts', toggle.checked ? '' : 'off'));
  document.addEventListener('keydown', (event) => {
    if (!toggle.checked || event.repeat || event.ctrlKey || event.metaKey || event.altKey || types(event.target)) {
      return;
    }
    const action = actions[event.key.toLowerCase()];
    if (action) {
      event.preventDefault();
      action();
    }
  });
}

/** Whether keys mean letters there. */
function types(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement ||
    (target instanceof HTMLInputElement && !['checkbox', 'range'].includes(target.type))
  );
}
