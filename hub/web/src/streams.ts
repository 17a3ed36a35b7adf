/** How the tracks of a room make streams, which is what ZEGO's users think in. */
import type { RemoteParticipant, RemoteTrackPublication } from 'livekit-client';

/** The identity of a stream within a room: its owner and its ZEGO stream id. */
export interface StreamKey {
  user: string;
  streamId: string;
}

/**
 * The stream that a published track belongs to.
 *
 * Our own clients name both tracks of a stream after it (`TrackInfo.name` == `TrackInfo.stream`). Other clients' tracks
 * are named after their owner: `<identity>` for camera and microphone, `<identity>_screen` for a shared screen, else
 * `<identity>_<stream>`; characters that a stream id may not have become `_`.
 */
export function streamOf(publication: RemoteTrackPublication, owner: RemoteParticipant): StreamKey {
  const stream = publication.trackInfo?.stream ?? '';
  return { user: owner.identity, streamId: streamId(owner.identity, stream, publication.trackName) };
}

/** The naming rule of `streamOf`, on plain words. */
export function streamId(identity: string, stream: string, name: string): string {
  if (stream !== '' && stream === name) {
    return stream;
  }
  switch (stream) {
    case '':
    case 'camera':
    case 'microphone':
    case 'unknown':
      return legal(identity);
    case 'screen':
    case 'screen_share':
    case 'screen_share_audio':
      return legal(`${identity}_screen`);
    default:
      return legal(`${identity}_${stream}`);
  }
}

/** What is wrong with a stream id, as a sentence with ZEGO's code; undefined when nothing is. */
export function streamIdError(id: string): string | undefined {
  if (id === '') {
    return 'The stream id is empty: give one, such as anna-web [1000015]';
  }
  if (new TextEncoder().encode(id).length >= 256) {
    return 'The stream id is too long: it may have at most 255 characters [1000014]';
  }
  if (!/^[A-Za-z0-9_-]+$/.test(id)) {
    return `The stream id "${id}" has a character that is not allowed: use letters, digits, - and _ [1000016]`;
  }
  return undefined;
}

/** A stream id for the browser of `user`, as legal as `user` lets it be. */
export function defaultStreamId(user: string): string {
  return user ? `${legal(user)}-web` : '';
}

/** The stream id of the screen that `user` shares from a browser. */
export function screenStreamId(user: string): string {
  return `${legal(user)}-screen`;
}

function legal(text: string): string {
  return text.replace(/[^A-Za-z0-9_-]/g, '_');
}
