/** The server's refusals of what this browser wants to publish. */
import { EngineEvent, type Room } from 'livekit-client';

/**
 * Hears them. The room client reports a refused track only as "no answer" ten seconds later; the server's reason is in an
 * event of its engine.
 */
export class Refusals {
  #refused: ((error: Error) => void) | undefined;

  /** To be called once the room is joined. */
  attach(room: Room): void {
    room.engine.on(EngineEvent.SignalRequestResponse, (response) => {
      if (response.request.case === 'addTrack') {
        this.#refused?.(new Error(response.message || 'The server refused the stream [1003028]'));
      }
    });
  }

  /** The result of `publishing`, unless the server refuses first: then its reason is thrown. */
  async race<T>(publishing: Promise<T>): Promise<T> {
    const refusal = new Promise<never>((_, reject) => (this.#refused = reject));
    // Whichever is not awaited any more may fail unheard.
    refusal.catch(() => undefined);
    publishing.catch(() => undefined);
    try {
      return await Promise.race([publishing, refusal]);
    } finally {
      this.#refused = undefined;
    }
  }
}
