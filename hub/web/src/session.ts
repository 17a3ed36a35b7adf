/** One stay in a room: joins it, follows what happens there, leaves it. Knows nothing of the page's elements. */
import {
  ConnectionQuality,
  ConnectionState,
  DataPacket_Kind,
  DisconnectReason,
  type Participant,
  type RemoteParticipant,
  type RemoteTrackPublication,
  Room,
  RoomEvent,
  Track,
  type TrackPublication,
} from 'livekit-client';
import { BROADCAST, type Message, Messages } from './messages';
import { Publisher } from './publisher';
import { Refusals } from './refusals';
import { Screen } from './screen';
import { connectAddress, type Place, refusal } from './server';
import { streamOf } from './streams';
import { contradiction, peek } from './token';
import type { Weight } from './journal';
import { disconnection } from './words';

/** A stream as the page shows it: at most one video and one audio track of one participant. */
export interface Stream {
  /** Unique in the room. */
  key: string;
  streamId: string;
  user: string;
  name: string;
  local: boolean;
  /** A shared screen. */
  screen: boolean;
  video: TrackPublication | undefined;
  audio: TrackPublication | undefined;
}

/** Somebody in the room, ourselves included. */
export interface Person {
  user: string;
  name: string;
  local: boolean;
  quality: ConnectionQuality;
}

/** What a session tells. */
export interface SessionEvents {
  state(state: ConnectionState): void;
  /** Streams, people or their states changed: read them again. */
  changed(): void;
  /** Whether the browser waits for a click before it plays sound. */
  soundBlocked(blocked: boolean): void;
  journal(text: string, weight?: Weight): void;
  /** Somebody came or went: a sentence. */
  traffic(text: string): void;
  message(message: Message): void;
  /** The stay ended, by us or not. `text` says why. */
  ended(text: string, byUs: boolean): void;
}

/** How to reach the server: `v1` uses one peer connection, `v0` two. */
export type Transport = 'v0' | 'v1';

/** A stay in a room. */
export class Session {
  readonly room: Room;
  readonly publisher: Publisher;
  readonly screen: Screen;
  readonly messages: Messages;
  readonly #refusals = new Refusals();
  readonly #events: SessionEvents;
  readonly #abort = new AbortController();
  #joined = false;

  constructor(events: SessionEvents, transport: Transport) {
    this.#events = events;
    // Everything is received at full size all the time: this page is there to look at what arrives.
    this.room = new Room({ adaptiveStream: false, dynacast: false, singlePeerConnection: transport === 'v1' });
    this.publisher = new Publisher(this.room, this.#refusals);
    this.screen = new Screen(this.room, this.#refusals);
    this.messages = new Messages(this.room, (message) => this.#events.message(message));
    this.#listen();
  }

  /**
   * Joins; throws with the server's own sentence when it refuses. `wrong` is what the token contradicts: the server is
   * asked first, because a refusal of it weighs more, but a server of another make would not notice.
   */
  async join(place: Place, wrong: string | undefined): Promise<void> {
    const address = connectAddress(place);
    this.#events.state(ConnectionState.Connecting);
    const refused = await refusal(address, place.token, this.#abort.signal);
    if (refused !== undefined || wrong !== undefined) {
      throw new Error(refused ?? wrong);
    }
    await this.room.connect(address, place.token, { autoSubscribe: true });
    this.#abort.signal.throwIfAborted();
    this.#joined = true;
    this.#refusals.attach(this.room);
    this.#events.soundBlocked(!this.room.canPlaybackAudio);
    this.#events.changed();
  }

  /** Leaves, or gives up joining. */
  async leave(): Promise<void> {
    this.#abort.abort();
    await this.publisher.stop();
    await this.room.disconnect();
  }

  /** Lets the browser play sound; to be called in a click. */
  async enableSound(): Promise<void> {
    await this.room.startAudio();
  }

  /** What in the token contradicts `form`, as a sentence; undefined when nothing does or the token cannot be read. */
  static contradiction(token: string, form: { appId: string; user: string; room: string }): string | undefined {
    const claims = peek(token);
    return claims && contradiction(claims, form);
  }

  /** Every stream in the room, our own first. */
  streams(): Stream[] {
    const own = [this.publisher.stream(), this.screen.stream()].filter((one) => one !== undefined);
    const streams = new Map<string, Stream>();
    for (const participant of this.room.remoteParticipants.values()) {
      for (const publication of participant.trackPublications.values()) {
        const remote = publication as RemoteTrackPublication;
        const { user, streamId } = streamOf(remote, participant);
        const key = `${user}\n${streamId}`;
        let stream = streams.get(key);
        if (!stream) {
          stream = {
            key,
            streamId,
            user,
            name: participant.name || user,
            local: false,
            screen: false,
            video: undefined,
            audio: undefined,
          };
          streams.set(key, stream);
        }
        if (remote.kind === 'video') {
          stream.video ??= remote;
          stream.screen = stream.video.source === Track.Source.ScreenShare;
        } else {
          stream.audio ??= remote;
        }
      }
    }
    const others = [...streams.values()].sort((a, b) => a.key.localeCompare(b.key));
    return [...own, ...others];
  }

  /** Everybody in the room, ourselves first. */
  people(): Person[] {
    const person = (participant: Participant, local: boolean): Person => ({
      user: participant.identity,
      name: participant.name || participant.identity,
      local,
      quality: participant.connectionQuality,
    });
    const others = [...this.room.remoteParticipants.values()].map((participant) => person(participant, false));
    others.sort((a, b) => a.user.localeCompare(b.user));
    return this.#joined ? [person(this.room.localParticipant, true), ...others] : [];
  }

  /** The statistics of the peer connections, the one that receives first. */
  async reports(): Promise<RTCStatsReport[]> {
    const manager = this.room.engine.pcManager;
    const connections = [manager?.subscriber, manager?.publisher].filter((one) => one !== undefined);
    const reports = await Promise.all(connections.map((connection) => connection.getStats()));
    return reports.filter((report) => report !== undefined);
  }

  #listen(): void {
    const { journal, changed } = this.#events;
    const id = (publication: TrackPublication, owner: Participant) =>
      streamOf(publication as RemoteTrackPublication, owner as RemoteParticipant).streamId;
    this.room
      .on(RoomEvent.ConnectionStateChanged, (state) => this.#events.state(state))
      .on(RoomEvent.SignalConnected, () => this.#admitted())
      .on(RoomEvent.SignalReconnecting, () => journal('The link to the server broke; trying again', 'bad'))
      .on(RoomEvent.Reconnecting, () => journal('The connection broke; trying again', 'bad'))
      .on(RoomEvent.Reconnected, () => {
        journal('Connected again', 'good');
        changed();
      })
      .on(RoomEvent.Disconnected, (reason) => this.#ended(reason))
      .on(RoomEvent.ParticipantConnected, (participant) => {
        this.#events.traffic(`${participant.name || participant.identity} joined`);
        changed();
      })
      .on(RoomEvent.ParticipantDisconnected, (participant) => {
        this.#events.traffic(`${participant.name || participant.identity} left`);
        changed();
      })
      .on(RoomEvent.TrackPublished, (publication, owner) => {
        journal(`${owner.identity} publishes ${publication.kind} of stream ${id(publication, owner)}`);
        changed();
      })
      .on(RoomEvent.TrackUnpublished, (publication, owner) => {
        journal(`${owner.identity} stopped ${publication.kind} of stream ${id(publication, owner)}`);
        changed();
      })
      .on(RoomEvent.TrackSubscribed, (_track, publication, owner) => {
        journal(`Receiving ${publication.kind} of stream ${id(publication, owner)}`, 'good');
        changed();
      })
      .on(RoomEvent.TrackUnsubscribed, () => changed())
      .on(RoomEvent.TrackSubscriptionFailed, (sid, owner) => {
        journal(`Track ${sid} of ${owner.identity} could not be received`, 'bad');
      })
      .on(RoomEvent.TrackMuted, (publication, owner) => this.#muted(publication, owner, 'muted'))
      .on(RoomEvent.TrackUnmuted, (publication, owner) => this.#muted(publication, owner, 'unmuted'))
      .on(RoomEvent.LocalTrackPublished, (publication) => {
        journal(`Publishing ${publication.kind} of stream ${publication.trackName}`, 'good');
        changed();
      })
      .on(RoomEvent.LocalTrackUnpublished, (publication) => {
        journal(`Stopped publishing ${publication.kind} of stream ${publication.trackName}`);
        changed();
      })
      .on(RoomEvent.ConnectionQualityChanged, () => changed())
      .on(RoomEvent.ParticipantNameChanged, () => changed())
      .on(RoomEvent.ParticipantPermissionsChanged, () => changed())
      .on(RoomEvent.AudioPlaybackStatusChanged, () => this.#events.soundBlocked(!this.room.canPlaybackAudio))
      .on(RoomEvent.VideoPlaybackStatusChanged, () => undefined)
      .on(RoomEvent.MediaDevicesError, (error) => journal(error.message, 'bad'))
      .on(RoomEvent.DataReceived, (payload, sender, kind, topic) => {
        if (topic === BROADCAST) {
          return;
        }
        const way = kind === DataPacket_Kind.LOSSY ? 'lossy' : 'reliable';
        journal(`Message from ${sender?.identity ?? 'the server'} (${topic || 'no topic'}, ${way}): ${readable(payload)}`);
      });
  }

  /** The server let us in; media follows. Also after each reconnection. */
  #admitted(): void {
    if (!this.#joined) {
      const people = this.room.remoteParticipants.size;
      const others = people === 0 ? 'nobody else is here' : people === 1 ? 'one other is here' : `${people} others are here`;
      this.#events.journal(`Joined room ${this.room.name} as ${this.room.localParticipant.identity}; ${others}`, 'good');
    }
  }

  #muted(publication: TrackPublication, owner: Participant, word: string): void {
    if (!owner.isLocal) {
      const stream = streamOf(publication as RemoteTrackPublication, owner as RemoteParticipant);
      this.#events.journal(`${owner.identity} ${word} ${publication.kind} of stream ${stream.streamId}`);
    }
    this.#events.changed();
  }

  #ended(reason: DisconnectReason | undefined): void {
    if (!this.#joined) {
      return;
    }
    this.#joined = false;
    this.publisher.forget();
    this.#events.ended(disconnection(reason), reason === DisconnectReason.CLIENT_INITIATED);
  }
}

/** A message's text, cut to a line; the number of bytes when it is none. */
function readable(payload: Uint8Array): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(payload).replaceAll(/\s+/g, ' ');
    return text.length > 200 ? `${text.slice(0, 200)}…` : text;
  } catch {
    return `${payload.length} bytes`;
  }
}
