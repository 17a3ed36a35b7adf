/** Who speaks, by the energy of the sound that is sent and received here. */

const EVERY_MS = 400;
/** Root mean square, of 1: -38 dB. */
const LOUD = 0.012;
/** Pauses between words are shorter. */
const HOLD_MS = 1200;

interface Energy {
  energy: number;
  seconds: number;
}

interface SoundEntry extends RTCStats {
  kind?: string;
  trackIdentifier?: string;
  totalAudioEnergy?: number;
  totalSamplesDuration?: number;
}

/** Compares reports. */
export class Speakers {
  readonly #last = new Map<string, Energy>();
  readonly #spokeMs = new Map<string, number>();

  /** How often to read, in milliseconds. */
  static readonly everyMs = EVERY_MS;

  /** The tracks (`MediaStreamTrack.id`) that carry speech, after reading these reports. */
  read(reports: RTCStatsReport[], nowMs: number): Set<string> {
    for (const report of reports) {
      report.forEach((entry: SoundEntry) => {
        if ((entry.type === 'inbound-rtp' || entry.type === 'media-source') && entry.kind === 'audio') {
          this.#hear(entry, nowMs);
        }
      });
    }
    return new Set([...this.#spokeMs].filter(([, at]) => nowMs - at < HOLD_MS).map(([track]) => track));
  }

  #hear(entry: SoundEntry, nowMs: number): void {
    const track = entry.trackIdentifier ?? '';
    const now = { energy: entry.totalAudioEnergy ?? 0, seconds: entry.totalSamplesDuration ?? 0 };
    const last = this.#last.get(track);
    this.#last.set(track, now);
    if (last && now.seconds > last.seconds) {
      const level = Math.sqrt(Math.max(0, now.energy - last.energy) / (now.seconds - last.seconds));
      if (level > LOUD) {
        this.#spokeMs.set(track, nowMs);
      }
    }
  }
}
