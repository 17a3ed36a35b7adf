/** One line about the connection to the server. */
import type { Sums } from './figures';

interface Pair {
  currentRoundTripTime?: number;
  localCandidateId: string;
  remoteCandidateId: string;
}

interface Candidate {
  address?: string;
  port?: number;
  protocol?: string;
}

/** Round trip, bit rates and the server's media address, from a report of the peer connection. */
export function connectionFigures(report: RTCStatsReport, sums: Sums): string {
  const words: string[] = [];
  const pair = selectedPair(report);
  if (pair?.currentRoundTripTime !== undefined) {
    words.push(`RTT ${Math.round(pair.currentRoundTripTime * 1000)} ms`);
  }
  words.push(`in ${rate(sums.received)}`, `out ${rate(sums.sent)}`);
  const remote = pair && (report.get(pair.remoteCandidateId) as Candidate | undefined);
  if (remote?.port) {
    const host = remote.address?.includes(':') ? `[${remote.address}]` : (remote.address ?? '');
    words.push(`${(remote.protocol ?? '').toUpperCase()} ${host}:${remote.port}`);
  }
  return words.join(' · ');
}

function selectedPair(report: RTCStatsReport): Pair | undefined {
  let id: string | undefined;
  report.forEach((entry: RTCStats & { selectedCandidatePairId?: string }) => {
    if (entry.type === 'transport') {
      id ??= entry.selectedCandidatePairId;
    }
  });
  return id === undefined ? undefined : (report.get(id) as Pair | undefined);
}

function rate(kbps: number): string {
  return kbps >= 1000 ? `${(kbps / 1000).toFixed(1)} Mbit/s` : `${Math.round(kbps)} kbit/s`;
}
