/** Clear sentences for what goes wrong. */
import { ConnectionError, ConnectionErrorReason, ConnectionQuality, ConnectionState, DisconnectReason } from 'livekit-client';

/** Why joining failed. The server's own sentence is shown as it is. */
export function joinFailure(error: unknown, server: string): string {
  if (error instanceof ConnectionError) {
    switch (error.reason) {
      case ConnectionErrorReason.NotAllowed:
        return error.message;
      case ConnectionErrorReason.Cancelled:
        return 'Joining was cancelled';
      case ConnectionErrorReason.LeaveRequest:
        return disconnection(error.context as DisconnectReason);
      case ConnectionErrorReason.Timeout:
        return `${server} did not answer in time: check the address and the network [1002053]`;
      case ConnectionErrorReason.ServiceNotFound:
        return `${server} is no room server: check the address [1002030]`;
      case ConnectionErrorReason.ServerUnreachable:
      case ConnectionErrorReason.WebSocket:
        return unreachable(server);
      case ConnectionErrorReason.InternalError:
        return /could not establish pc connection/i.test(error.message)
          ? `${server} answered, but no media connection came about: a firewall may block its UDP port [1002053]`
          : `${server}: ${error.message}`;
    }
  }
  return error instanceof Error ? error.message : String(error);
}

function unreachable(server: string): string {
  const mixed = location.protocol === 'https:' && server.startsWith('ws:');
  return mixed
    ? `A page from https:// may only use a server at wss://, and this one is ${server} [1002030]`
    : `No server answers at ${server}: check the address and that it is running [1002030]`;
}

/** Why the connection ended. */
export function disconnection(reason: DisconnectReason | undefined): string {
  switch (reason) {
    case DisconnectReason.CLIENT_INITIATED:
      return 'You left the room';
    case DisconnectReason.DUPLICATE_IDENTITY:
      return 'The same user joined from elsewhere, so this page was logged out [1002050]';
    case DisconnectReason.PARTICIPANT_REMOVED:
      return 'You were removed from the room [1002055]';
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return 'The room was closed: join again to open it anew';
    case DisconnectReason.SERVER_SHUTDOWN:
      return 'The server was shut down: join again when it runs [1002053]';
    case DisconnectReason.JOIN_FAILURE:
      return 'The server could not take you in: join again';
    case DisconnectReason.STATE_MISMATCH:
      return 'The server no longer knows this connection: join again';
    default:
      return 'The connection was lost: join again [1002053]';
  }
}

/** Why camera or microphone could not be had. */
export function deviceFailure(error: unknown): string {
  const name = error instanceof Error ? error.name : '';
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'The browser may not use the camera or microphone: allow both for this page (in the address bar) and publish again';
    case 'NotFoundError':
      return 'No camera or microphone was found: plug one in and publish again';
    case 'NotReadableError':
    case 'AbortError':
      return 'The camera or microphone is used by another program: close that one and try again';
    case 'OverconstrainedError':
      return 'The chosen device cannot do this: choose another size or device under Settings';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}

/** Why a screen could not be shared. */
export function screenFailure(error: unknown): string {
  const name = error instanceof Error ? error.name : '';
  switch (name) {
    case 'NotFoundError':
      return 'There is no screen to share on this computer';
    case 'NotReadableError':
    case 'AbortError':
      return 'The system did not give the screen away: allow this browser to record it, and share again';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}

/** A connection's state, in a word or two. */
export function stateWord(state: ConnectionState): string {
  switch (state) {
    case ConnectionState.Connecting:
      return 'Connecting…';
    case ConnectionState.Connected:
      return 'Connected';
    case ConnectionState.Reconnecting:
    case ConnectionState.SignalReconnecting:
      return 'Reconnecting…';
    case ConnectionState.Disconnected:
      return 'Not connected';
  }
}

/**
 * A connection's quality, in a word: the server's judgement, or else by the loss that was measured here (0 to 1). Empty
 * when there is neither.
 */
export function qualityWord(quality: ConnectionQuality, loss: number | undefined): string {
  switch (quality) {
    case ConnectionQuality.Excellent:
      return 'excellent';
    case ConnectionQuality.Good:
      return 'good';
    case ConnectionQuality.Poor:
      return 'poor';
    case ConnectionQuality.Lost:
      return 'lost';
    default:
      // One lost packet in fifty is repaired unseen; one in fifteen is seen and heard.
      return loss === undefined ? '' : loss < 0.02 ? 'excellent' : loss < 0.07 ? 'good' : 'poor';
  }
}
