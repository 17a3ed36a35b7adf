//! Reports: what arrived (RFC 3550 §6.4.2), what was sent and when (§6.4.1), and the round trip from both (§6.4.1, figure 2).

use std::time::Duration;

use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport as SenderReportPacket;

use super::ntp::NtpClock;
use super::statistics::SenderReport;
use crate::clock::Monotonic;

/// The middle 32 bits: 16 of seconds, 16 of fraction.
fn compact(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// Round trip from a reception report about us that came at `now`; `None` when it answers no sender report.
pub(super) fn round_trip(report: &ReceptionReport, now_ntp: u64) -> Option<Duration> {
    if report.last_sender_report == 0 {
        return None;
    }
    let units = compact(now_ntp).wrapping_sub(report.last_sender_report).wrapping_sub(report.delay);
    // A difference below zero is rounding, one of hours is nonsense.
    let units = if units > 0x8000_0000 { 0 } else { units };
    (units < 60 << 16).then(|| Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16))
}

/// What a sender report needs to know about a stream of ours.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    pub(super) packets: u64,
    pub(super) octets: u64,
    /// RTP timestamp and capture time of the newest packet.
    pub(super) newest: Option<(u32, Monotonic)>,
}

impl Sent {
    /// The report to be sent at `now`; `None` before the first packet.
    pub(super) fn report(
        &self,
        ssrc: u32,
        clock_rate: u32,
        now: Monotonic,
        clock: &NtpClock,
    ) -> Option<SenderReportPacket> {
        let (timestamp, captured) = self.newest?;
        let ticks = now.since(captured).as_nanos() * u128::from(clock_rate) / 1_000_000_000;
        Some(SenderReportPacket {
            ssrc,
            ntp_time: clock.ntp(now),
            rtp_time: timestamp.wrapping_add(ticks as u32),
            packet_count: self.packets as u32,
            octet_count: self.octets as u32,
            ..SenderReportPacket::default()
        })
    }
}

/// What a reception report needs to know about a source of the other side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    range: Option<(u64, u64)>,
    /// Packets that came by themselves; repaired ones would hide the loss.
    direct: u64,
    reported: (u64, u64),
    transit: Option<i64>,
    /// In timestamp units, scaled by 16 as in RFC 3550 appendix A.8.
    jitter: u64,
    samples: u64,
    pub(super) sender_report: Option<SenderReport>,
}

impl Heard {
    /// The source started anew: its old numbers mean nothing any more.
    pub(super) fn restart(&mut self) {
        *self = Self { sender_report: self.sender_report, ..Self::default() };
    }

    /// Notes a packet that was not a retransmission.
    pub(super) fn packet(&mut self, number: u64, timestamp: u32, clock_rate: u32, now: Monotonic) {
        let (first, newest) = self.range.unwrap_or((number, number));
        self.range = Some((first.min(number), newest.max(number)));
        self.direct += 1;
        let arrival = (u128::from(now.as_nanos()) * u128::from(clock_rate) / 1_000_000_000) as u32;
        let transit = i64::from(arrival.wrapping_sub(timestamp));
        if let Some(before) = self.transit {
            let difference = u64::from((transit as i32).wrapping_sub(before as i32).unsigned_abs());
            // A clock that jumped is not jitter.
            if difference < u64::from(clock_rate) * 5 {
                self.jitter += difference.saturating_sub((self.jitter + 8) >> 4);
                self.samples += 1;
            }
        }
        self.transit = Some(transit);
    }

    /// Interarrival jitter, `None` before the second packet.
    pub(super) fn jitter(&self, clock_rate: u32) -> Option<Duration> {
        (self.samples > 0).then(|| Duration::from_nanos((self.jitter >> 4) * 1_000_000_000 / u64::from(clock_rate)))
    }

    /// The report to be sent at `now`; `None` before the first packet.
    pub(super) fn report(&mut self, ssrc: u32, now: Monotonic) -> Option<ReceptionReport> {
        let (first, newest) = self.range?;
        let expected = newest - first + 1;
        let (expected_before, direct_before) = self.reported;
        self.reported = (expected, self.direct);
        let due = expected.saturating_sub(expected_before);
        let lost = due.saturating_sub(self.direct - direct_before);
        let (last_sender_report, delay) = self.sender_report.map_or((0, 0), |report| {
            let delay = (now.since(report.arrived).as_nanos() << 16) / 1_000_000_000;
            (compact(report.ntp), u32::try_from(delay).unwrap_or(u32::MAX))
        });
        Some(ReceptionReport {
            ssrc,
            fraction_lost: (lost * 256).checked_div(due).unwrap_or(0).min(255) as u8,
            total_lost: expected.saturating_sub(self.direct).min(0x7f_ffff) as u32,
            last_sequence_number: (newest - 0x1_0000) as u32,
            jitter: (self.jitter >> 4) as u32,
            last_sender_report,
            delay,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_millis(millis)
    }

    #[test]
    fn the_round_trip_is_what_is_left_of_the_time_since_the_report() {
        let clock = NtpClock::new(UNIX_EPOCH + Duration::from_secs(1_700_000_000), at(0));
        let sent = clock.ntp(at(1000));
        // (answered after ms, held there for ms, round trip in ms)
        for (after, held, expected) in
            [(80, 0, Some(80)), (580, 500, Some(80)), (10, 20, Some(0)), (3_700_000, 0, None)]
        {
            let report = ReceptionReport {
                last_sender_report: compact(sent),
                delay: ((held << 16) / 1000) as u32,
                ..ReceptionReport::default()
            };
            let rtt = round_trip(&report, clock.ntp(at(1000 + after)));
            let millis = rtt.map(|rtt| (rtt.as_micros() + 500) as u64 / 1000);
            assert_eq!(millis, expected, "{after} {held}");
        }
        assert_eq!(round_trip(&ReceptionReport::default(), sent), None);
    }

    #[test]
    fn a_sender_report_maps_the_timestamp_to_the_capture() {
        let clock = NtpClock::new(UNIX_EPOCH, at(0));
        let sent = Sent { packets: 3, octets: 300, newest: Some((u32::MAX, at(1000))) };
        let report = sent.report(9, 90_000, at(1100), &clock).unwrap();
        assert_eq!((report.ssrc, report.packet_count, report.octet_count), (9, 3, 300));
        assert_eq!(report.rtp_time, 8999, "100 ms after the newest capture, over the wrap");
        assert_eq!(report.ntp_time, clock.ntp(at(1100)));
        assert!(Sent::default().report(9, 90_000, at(0), &clock).is_none());
    }

    #[test]
    fn losses_are_those_of_the_path() {
        let mut heard = Heard::default();
        assert!(heard.report(7, at(0)).is_none());
        for number in (0x1_0000..0x1_0064u64).filter(|number| number % 4 != 1) {
            heard.packet(number, (number * 900) as u32, 90_000, at((number - 0x1_0000) * 10));
        }
        let report = heard.report(7, at(1000)).unwrap();
        assert_eq!((report.fraction_lost, report.total_lost, report.last_sequence_number), (64, 25, 0x63));
        assert_eq!(report.jitter, 0, "as regular as they were sent");
        let again = heard.report(7, at(2000)).unwrap();
        assert_eq!((again.fraction_lost, again.total_lost), (0, 25), "nothing new was lost");
        heard.packet(0x1_0064, 0x1_0064 * 900, 90_000, at(1000 + 16));
        assert_eq!(heard.jitter(90_000), Some(Duration::from_millis(1)), "a sixteenth of 16 ms");
        heard.sender_report = Some(SenderReport { ntp: 0x1234_5678_9abc_def0, rtp: 0, arrived: at(2000) });
        let answer = heard.report(7, at(2500)).unwrap();
        assert_eq!((answer.last_sender_report, answer.delay), (0x5678_9abc, 0x8000));
    }
}
