/** Figures about one track, read from the browser's statistics. */

/** What is known about one direction of one track. A figure that was not measured is undefined. */
export interface Figures {
  /** As in `VP8`, `H264`, `opus`. */
  codec?: string | undefined;
  width?: number | undefined;
  height?: number | undefined;
  /** Pictures per second. */
  fps?: number | undefined;
  /** Payload, in kbit/s, since the last reading. */
  kbps?: number | undefined;
  /** Lost packets over those expected since the last reading, 0 to 1. */
  loss?: number | undefined;
  /** Milliseconds. */
  jitter?: number | undefined;
  /** Milliseconds that what came waited here before it was shown or heard (jitter buffer), since the last reading. */
  buffer?: number | undefined;
  /** Milliseconds, between this browser and the server. */
  rtt?: number | undefined;
  /** Why the browser sends less than wished: `cpu`, `bandwidth`; undefined when it does not. */
  limited?: string | undefined;
}

interface Counters {
  at: number;
  bytes: number;
  packets: number;
  lost: number;
  /** Seconds that pictures or samples waited, all together. */
  waited?: number | undefined;
  /** How many of them. */
  emitted?: number | undefined;
}

/** Reads figures of one track again and again; keeps the last counters, because rates are differences. */
export class Meter {
  #last: Counters | undefined;

  /** The figures since the last call, from a report of the track's receiver. */
  received(report: RTCStatsReport): Figures {
    const inbound = first(report, 'inbound-rtp');
    if (!inbound) {
      return {};
    }
    return {
      ...described(report, inbound),
      ...this.#rates({
        at: inbound.timestamp,
        bytes: number(inbound, 'bytesReceived') ?? 0,
        packets: number(inbound, 'packetsReceived') ?? 0,
        lost: number(inbound, 'packetsLost') ?? 0,
        waited: number(inbound, 'jitterBufferDelay'),
        emitted: number(inbound, 'jitterBufferEmittedCount'),
      }),
      jitter: milliseconds(number(inbound, 'jitter')),
      rtt: roundTrip(report),
    };
  }

  /** The figures since the last call, from a report of the track's sender; loss and jitter are what the server reports. */
  sent(report: RTCStatsReport): Figures {
    const outbound = first(report, 'outbound-rtp');
    if (!outbound) {
      return {};
    }
    const remote = first(report, 'remote-inbound-rtp');
    const limited = text(outbound, 'qualityLimitationReason');
    const rates = this.#rates({
      at: outbound.timestamp,
      bytes: number(outbound, 'bytesSent') ?? 0,
      packets: number(outbound, 'packetsSent') ?? 0,
      lost: 0,
    });
    return {
      ...described(report, outbound),
      ...rates,
      loss: remote ? number(remote, 'fractionLost') : undefined,
      jitter: remote ? milliseconds(number(remote, 'jitter')) : undefined,
      rtt: roundTrip(report) ?? (remote ? milliseconds(number(remote, 'roundTripTime')) : undefined),
      limited: limited === 'none' ? undefined : limited,
    };
  }

  #rates(now: Counters): Pick<Figures, 'kbps' | 'loss' | 'buffer'> {
    const last = this.#last;
    this.#last = now;
    if (!last || now.at <= last.at || now.bytes < last.bytes) {
      return {};
    }
    const lost = Math.max(0, now.lost - last.lost);
    const expected = now.packets - last.packets + lost;
    return {
      kbps: ((now.bytes - last.bytes) * 8) / (now.at - last.at),
      loss: expected > 0 ? lost / expected : undefined,
      buffer: waiting(last, now),
    };
  }
}

/** Mean milliseconds in the jitter buffer between two readings. */
function waiting(last: Counters, now: Counters): number | undefined {
  const count = (now.emitted ?? 0) - (last.emitted ?? 0);
  return count > 0 ? (((now.waited ?? 0) - (last.waited ?? 0)) / count) * 1000 : undefined;
}

/** The round trip of the connection that the report's track uses, in milliseconds. */
function roundTrip(report: RTCStatsReport): number | undefined {
  const transport = first(report, 'transport');
  const pair = transport && report.get(text(transport, 'selectedCandidatePairId') ?? '');
  return pair ? milliseconds(number(pair, 'currentRoundTripTime')) : undefined;
}

function described(report: RTCStatsReport, rtp: RTCStats): Pick<Figures, 'codec' | 'width' | 'height' | 'fps'> {
  const codec = report.get(text(rtp, 'codecId') ?? '');
  return {
    codec: codec ? text(codec, 'mimeType')?.split('/')[1] : undefined,
    width: number(rtp, 'frameWidth'),
    height: number(rtp, 'frameHeight'),
    fps: number(rtp, 'framesPerSecond'),
  };
}

/** The report's entry of a type; of several (retransmission streams, layers) the one with most bytes. */
function first(report: RTCStatsReport, type: string): RTCStats | undefined {
  let best: RTCStats | undefined;
  let most = -1;
  report.forEach((entry: RTCStats) => {
    if (entry.type === type) {
      const bytes = number(entry, 'bytesReceived') ?? number(entry, 'bytesSent') ?? 0;
      if (bytes > most) {
        best = entry;
        most = bytes;
      }
    }
  });
  return best;
}

function number(entry: RTCStats, key: string): number | undefined {
  const value: unknown = (entry as unknown as Record<string, unknown>)[key];
  return typeof value === 'number' ? value : undefined;
}

function text(entry: RTCStats, key: string): string | undefined {
  const value: unknown = (entry as unknown as Record<string, unknown>)[key];
  return typeof value === 'string' ? value : undefined;
}

function milliseconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}
