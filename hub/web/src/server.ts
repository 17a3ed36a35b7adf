/** The room server's addresses. */

/** Where and as whom to join. */
export interface Place {
  server: string;
  room: string;
  user: string;
  name: string;
  token: string;
}

/** The server address that a page served by the hub starts with: the hub itself. */
export function ownServer(location: Location): string {
  const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
  return location.host ? `${scheme}//${location.host}` : '';
}

/**
 * The address to connect to: the server's, with the room, user and name appended, which a token04 does not carry in the
 * clear. A server that does not know these words ignores them.
 *
 * Throws an `Error` with a sentence for people when the address is none.
 */
export function connectAddress(place: Place): string {
  const wished = place.server.trim();
  let url: URL;
  try {
    url = new URL(/^[a-z]+:\/\//i.test(wished) ? wished : `ws://${wished}`);
  } catch {
    throw new Error(`"${wished}" is no server address: write one like ws://192.168.1.10:7880`);
  }
  if (url.protocol === 'http:' || url.protocol === 'https:') {
    url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
  }
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') {
    throw new Error(`"${wished}" is no server address: it begins with ws:// or wss://`);
  }
  url.searchParams.set('zego_room', place.room);
  url.searchParams.set('zego_user', place.user);
  if (place.name) {
    url.searchParams.set('zego_name', place.name);
  }
  return url.toString();
}

/**
 * Asks the server whether it would let us in, before a socket is opened: the text of a refused WebSocket is hidden from
 * scripts, that of a plain request is not. Returns the refusal's text, or undefined when the server has none (or cannot
 * be asked, which the connection itself will tell better).
 */
export async function refusal(address: string, token: string, signal: AbortSignal): Promise<string | undefined> {
  const url = new URL(address);
  url.protocol = url.protocol === 'wss:' ? 'https:' : 'http:';
  url.pathname = `${url.pathname.replace(/\/$/, '')}/rtc/validate`;
  // As the WebSocket will: a header of our own would make the browser ask another server for permission first.
  url.searchParams.set('access_token', token);
  let reply: Response;
  try {
    reply = await fetch(url, { signal, cache: 'no-store' });
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
  if (reply.ok) {
    return undefined;
  }
  const body = (await reply.text()).trim();
  return body || `The server refused with status ${reply.status}`;
}
