/** Which camera, microphone and speaker to use: chosen once, remembered, and changed in the middle of a call. */
import { byId } from './dom';
import { recall, remember } from './memory';

/** What can be chosen. */
export type Part = 'camera' | 'microphone' | 'speaker';

const KINDS: Record<Part, MediaDeviceKind> = { camera: 'videoinput', microphone: 'audioinput', speaker: 'audiooutput' };
const PARTS = Object.keys(KINDS) as Part[];

/** The device that was chosen; undefined for the browser's own choice. */
export function chosen(part: Part): string | undefined {
  return recall(part) || undefined;
}

/** Fills the three fields and keeps them up to date. `changed` hears of every choice. */
export class Devices {
  constructor(changed: (part: Part, deviceId: string) => void) {
    for (const part of PARTS) {
      const field = byId(part, HTMLSelectElement);
      field.addEventListener('change', () => {
        remember(part, field.value);
        changed(part, field.value);
      });
    }
    navigator.mediaDevices?.addEventListener('devicechange', () => void this.refresh());
    void this.refresh();
  }

  /** Reads the devices again: their names are known only after the browser gave one away. */
  async refresh(): Promise<void> {
    // An insecure page has no devices.
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    for (const part of PARTS) {
      const field = byId(part, HTMLSelectElement);
      const options = [new Option('The browser’s choice', '')];
      for (const device of all) {
        // "default" is the browser's choice under another name.
        if (device.kind === KINDS[part] && device.deviceId !== '' && device.deviceId !== 'default') {
          options.push(new Option(device.label || `${part} ${options.length}`, device.deviceId));
        }
      }
      field.replaceChildren(...options);
      field.value = chosen(part) ?? '';
      if (field.selectedIndex < 0) {
        field.value = '';
      }
    }
  }
}
