/** What a token says about itself, read without the secret. */

/** The claims of a LiveKit access token that the page shows or compares. */
export interface TokenClaims {
  /** `iss`: the API key, which is ZEGO's AppID. */
  appId: string;
  /** `sub`: the identity, which is ZEGO's user id. */
  user: string;
  /** `video.room`; empty when the token is good for any room. */
  room: string;
  /** `exp` in Unix seconds; 0 when it has none. */
  expiresAt: number;
}

/** Reads the claims of a JWT (RFC 7519) without verifying it; undefined for anything else, such as an encrypted token04. */
export function peek(token: string): TokenClaims | undefined {
  const part = token.split('.')[1];
  if (part === undefined || token.split('.').length !== 3) {
    return undefined;
  }
  try {
    const bytes = Uint8Array.from(atob(part.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    const video = property(claims, 'video');
    return {
      appId: text(property(claims, 'iss')),
      user: text(property(claims, 'sub')),
      room: text(property(video, 'room')),
      expiresAt: Number(property(claims, 'exp') ?? 0),
    };
  } catch {
    return undefined;
  }
}

/** What in `claims` contradicts the form, as one sentence with ZEGO's code; undefined when they agree. */
export function contradiction(claims: TokenClaims, form: { appId: string; user: string; room: string }): string | undefined {
  if (form.appId && claims.appId && form.appId !== claims.appId) {
    return `The token was made for AppID ${claims.appId}, not ${form.appId}: use a token of this AppID [1002076]`;
  }
  if (claims.user && form.user !== claims.user) {
    return `The token was made for user "${claims.user}", not "${form.user}": join as that user or get another token [1002077]`;
  }
  if (claims.room && form.room !== claims.room) {
    return `The token was made for room "${claims.room}", not "${form.room}": join that room or get another token [1002033]`;
  }
  return undefined;
}

function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}
