//! Taps on what somebody else sends: their timestamps become moments of this machine's clock.
//!
//! Sound and picture count in clocks of their own. The sender's reports say which moments of its one clock they stand for, and
//! that is what both are brought to, as lip synchronisation does. Until there is a report the moment of arrival has to do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::unit::AccessUnit;
use super::{RecordSink, VideoTap};
use crate::clock::Monotonic;
use crate::media::codec::OpusDecoder;
use crate::media::jitter::sequence::Unwrapper;
use crate::media::rtp::h264;
use crate::rtc::SenderReport;

/// A mapping is kept while new reports agree with it so well: what is smaller is the reports' own jitter.
const AGREES: i128 = 30_000_000;
/// Reports of one clock agree about it so well; beyond, the sender's clock was set.
const SAME_CLOCK: i128 = 1_000_000_000;
/// Nothing takes longer on its way: a timestamp or a report that says so begins anew or is wrong.
const FAR: i128 = 5_000_000_000;
/// How long a packet of sound may be overtaken by later ones.
const REORDER: i64 = 9_600;

/// The difference between the sender's clock and ours, the same for sound and picture.
#[derive(Clone, Debug, Default)]
pub struct SenderClock {
    /// Nanoseconds to be added to the sender's time.
    offset: Arc<Mutex<Option<i128>>>,
}

impl SenderClock {
    /// When, on our clock, the moment of a report was.
    fn moment(&self, report: &SenderReport) -> i128 {
        let sender = i128::from(report.ntp >> 32) * 1_000_000_000
            + ((i128::from(report.ntp & 0xffff_ffff) * 1_000_000_000) >> 32);
        let seen = i128::from(report.arrived.as_nanos()) - sender;
        let mut offset = self.offset.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = match &mut *offset {
            Some(offset) if (seen - *offset).abs() <= SAME_CLOCK => *offset,
            other => *other.insert(seen),
        };
        sender + offset
    }
}

/// The timestamps of one track as moments of our clock.
#[derive(Debug)]
struct TrackClock {
    clock: SenderClock,
    rate: i128,
    timestamps: Unwrapper,
    /// A timestamp and its moment in nanoseconds.
    known: Option<(i64, i128)>,
    report: Option<SenderReport>,
}

impl TrackClock {
    fn new(clock: SenderClock, rate: u32) -> Self {
        Self { clock, rate: i128::from(rate), timestamps: Unwrapper::NEW, known: None, report: None }
    }

    /// The timestamp unwrapped, and when it was captured.
    fn at(&mut self, timestamp: u32, arrived: Monotonic, report: Option<SenderReport>) -> (i64, Monotonic) {
        let ticks = self.timestamps.timestamp(timestamp);
        if let Some(report) = report.filter(|report| self.report != Some(*report)) {
            self.report = Some(report);
            let reported = self.timestamps.peek_timestamp(report.rtp);
            let moment = self.clock.moment(&report);
            let differs = |known: &(i64, i128)| (self.since(*known, reported) - moment).abs() > AGREES;
            if self.known.as_ref().is_none_or(differs) {
                self.known = Some((reported, moment));
            }
        }
        let arrived = i128::from(arrived.as_nanos());
        let mut known = *self.known.get_or_insert((ticks, arrived));
        if (self.since(known, ticks) - arrived).abs() > FAR {
            known = *self.known.insert((ticks, arrived));
        }
        let nanos = u64::try_from(self.since(known, ticks)).unwrap_or(0);
        (ticks, Monotonic::from_nanos(nanos))
    }

    fn since(&self, (known, moment): (i64, i128), ticks: i64) -> i128 {
        moment + i128::from(ticks - known) * 1_000_000_000 / self.rate
    }
}

/// Puts the pictures of one receiver into a recording.
#[derive(Debug)]
pub(in crate::media) struct RemoteVideoTap {
    tap: VideoTap,
    clock: Mutex<TrackClock>,
}

impl RemoteVideoTap {
    pub(in crate::media) fn new(sink: RecordSink, clock: SenderClock) -> Self {
        Self { tap: VideoTap::new(sink), clock: Mutex::new(TrackClock::new(clock, 90_000)) }
    }

    pub(in crate::media) const fn sink(&self) -> &RecordSink {
        self.tap.sink()
    }

    fn at(&self, timestamp: u32, arrived: Monotonic, report: Option<SenderReport>) -> Monotonic {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).at(timestamp, arrived, report).1
    }

    /// Takes an access unit in Annex B. Returns whether a key frame should be asked for.
    pub(in crate::media) fn h264(
        &self,
        annex_b: &[u8],
        timestamp: u32,
        arrived: Monotonic,
        report: Option<SenderReport>,
    ) -> bool {
        let mut unit = AccessUnit::default();
        h264::nal_units(annex_b).for_each(|nal| unit.push(nal));
        self.tap.h264(unit, self.at(timestamp, arrived, report))
    }

    /// Takes a VP8 frame; as [`RemoteVideoTap::h264`].
    pub(in crate::media) fn vp8(
        &self,
        frame: &[u8],
        timestamp: u32,
        arrived: Monotonic,
        report: Option<SenderReport>,
    ) -> bool {
        self.tap.vp8(frame, self.at(timestamp, arrived, report))
    }
}

/// Puts the sound of one receiver into a recording, in its order.
#[derive(Debug)]
pub(in crate::media) struct RemoteAudioTap {
    sink: RecordSink,
    state: Mutex<AudioState>,
}

#[derive(Debug)]
struct AudioState {
    clock: TrackClock,
    /// Packets by timestamp that one of before may still overtake.
    waiting: BTreeMap<i64, (Monotonic, Vec<u8>, u32)>,
    newest: i64,
    /// What was passed on.
    passed: Option<i64>,
}

impl RemoteAudioTap {
    pub(in crate::media) fn new(sink: RecordSink, clock: SenderClock) -> Self {
        let clock = TrackClock::new(clock, 48_000);
        let state = AudioState { clock, waiting: BTreeMap::new(), newest: i64::MIN, passed: None };
        Self { sink, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, AudioState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::media) const fn sink(&self) -> &RecordSink {
        &self.sink
    }

    /// Takes a packet as it arrived.
    pub(in crate::media) fn packet(
        &self,
        payload: &[u8],
        timestamp: u32,
        arrived: Monotonic,
        report: Option<SenderReport>,
    ) {
        let Some(samples) = OpusDecoder::samples(payload) else { return };
        let mut state = self.state();
        let (ticks, at) = state.clock.at(timestamp, arrived, report);
        if state.passed.is_some_and(|passed| ticks <= passed) {
            return;
        }
        state.waiting.entry(ticks).or_insert_with(|| (at, payload.to_vec(), samples as u32));
        state.newest = state.newest.max(ticks);
        let ripe = state.newest - REORDER;
        self.pass(&mut state, ripe);
    }

    fn pass(&self, state: &mut AudioState, until: i64) {
        while let Some(first) = state.waiting.first_entry().filter(|first| *first.key() <= until) {
            let (ticks, (at, packet, samples)) = first.remove_entry();
            state.passed = Some(ticks);
            self.sink.audio(at, &packet, samples);
        }
    }
}

impl Drop for RemoteAudioTap {
    fn drop(&mut self) {
        let mut state = self.state();
        self.pass(&mut state, i64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Monotonic {
        Monotonic::from_millis(millis)
    }

    /// A report of a sender whose clock shows `millis`.
    fn report(millis: u64, rtp: u32, arrived: u64) -> SenderReport {
        let ntp = ((3_900_000_000 + millis / 1000) << 32) | (((millis % 1000) << 32) / 1000);
        SenderReport { ntp, rtp, arrived: ms(arrived) }
    }

    #[test]
    fn sound_and_picture_of_one_moment_get_the_same_time_however_long_they_took() {
        let clock = SenderClock::default();
        let (mut sound, mut picture) = (TrackClock::new(clock.clone(), 48_000), TrackClock::new(clock, 90_000));
        let (s, p) = (u32::MAX - 10_000, 77);
        // The picture's report took 40 ms longer than the sound's.
        let (_, heard) = sound.at(s.wrapping_add(48_000), ms(9_000), Some(report(5_000, s, 8_000)));
        let (_, seen) = picture.at(p + 90_000, ms(9_140), Some(report(5_000, p, 8_040)));
        assert_eq!(heard.as_millis(), 9_000);
        assert!(heard.as_nanos().abs_diff(seen.as_nanos()) < 1000, "{heard:?} {seen:?}");
    }

    #[test]
    fn without_a_report_arrival_counts_until_there_is_one() {
        let mut clock = TrackClock::new(SenderClock::default(), 90_000);
        assert_eq!(clock.at(0, ms(1000), None).1, ms(1000));
        assert_eq!(clock.at(9_000, ms(1170), None).1, ms(1100), "jitter is not time");
        // Captured 80 ms before it arrived, as the report tells against an earlier one of the other track.
        let other = clock.clock.moment(&report(0, 0, 920));
        assert_eq!(other, i128::from(ms(920).as_nanos()));
        let (_, at) = clock.at(18_000, ms(1200), Some(report(200, 18_000, 1200)));
        assert!(at.as_nanos().abs_diff(ms(1120).as_nanos()) < 1000, "{at:?}");
    }

    #[test]
    fn timestamps_that_begin_anew_and_reports_that_cannot_be_do_not_leave_the_present() {
        let mut clock = TrackClock::new(SenderClock::default(), 90_000);
        clock.at(1000, ms(10_000), Some(report(0, 1000, 10_000)));
        assert_eq!(clock.at(2_000_000_000, ms(10_033), None).1, ms(10_033));
        assert_eq!(clock.at(2_000_003_000, ms(10_080), None).1.as_millis(), 10_066);
        let wrong = report(133, 7, 10_133);
        assert_eq!(clock.at(2_000_009_000, ms(10_133), Some(wrong)).1, ms(10_133));
    }

    #[test]
    fn reports_that_agree_change_nothing() {
        let mut clock = TrackClock::new(SenderClock::default(), 48_000);
        clock.at(0, ms(1000), Some(report(0, 0, 1000)));
        let (_, at) = clock.at(96_000, ms(3000), Some(report(2_020, 96_000, 3000)));
        assert_eq!(at, ms(3000), "20 ms are the report's jitter");
        let (_, at) = clock.at(192_000, ms(5000), Some(report(4_060, 192_000, 5_060)));
        assert!(at.as_nanos().abs_diff(ms(5060).as_nanos()) < 1000, "60 ms are not: {at:?}");
    }
}
