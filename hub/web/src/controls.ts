/** The row of buttons at the bottom: what they say in each state. */
import { Track } from 'livekit-client';
import { byId, say } from './dom';
import type { Session } from './session';

const button = (id: string) => byId(id, HTMLButtonElement);

/** What is being waited for; the buttons that would disturb it are disabled. */
export type Busy = 'join' | 'publish' | 'share' | undefined;

/** Shows the state of a call. */
export function showControls(session: Session | undefined, busy: Busy): void {
  const joined = session !== undefined && busy !== 'join';
  const publishing = session?.publisher.active ?? false;
  const allowed = session?.publisher.allowed ?? true;
  document.body.dataset['place'] = joined ? 'room' : 'outside';
  button('join').disabled = session !== undefined;
  button('cancel').hidden = busy !== 'join';
  button('publish').hidden = publishing && busy !== 'publish';
  button('publish').disabled = !joined || busy !== undefined || !allowed;
  button('unpublish').hidden = !publishing || busy === 'publish';
  showMute(session, Track.Kind.Video, 'mute-camera', 'Camera off', 'Camera on', 'V');
  showMute(session, Track.Kind.Audio, 'mute-microphone', 'Mute', 'Unmute', 'M');
  const sharing = session?.screen.active ?? false;
  const share = button('share');
  share.disabled = !joined || busy !== undefined || !allowed;
  share.dataset['sharing'] = String(sharing);
  label(share, sharing ? 'Stop sharing' : 'Share screen');
  say('publish-hint', hint(allowed));
}

function showMute(
  session: Session | undefined,
  kind: Track.Kind,
  id: string,
  on: string,
  off: string,
  key: string,
): void {
  const state = session?.publisher.state(kind);
  const toggle = button(id);
  toggle.hidden = !state?.published;
  toggle.dataset['off'] = String(state?.muted ?? false);
  label(toggle, state?.muted ? off : on);
  toggle.title += ` (key ${key})`;
}

/** A phone has room for the symbol only: the words are there all the same. */
function label(toggle: HTMLButtonElement, words: string): void {
  toggle.title = words;
  toggle.setAttribute('aria-label', words);
  const text = toggle.querySelector('span');
  if (text) {
    text.textContent = words;
  }
}

function hint(allowed: boolean): string | undefined {
  if (!allowed) {
    return 'This token does not allow publishing [1003072]';
  }
  return window.isSecureContext
    ? undefined
    : 'The browser lends camera and microphone only to pages from https:// or localhost. Watching works here all the same.';
}
