//! When was this packet's content made? Lip sync needs an answer that is the same for all tracks of one publisher.
//!
//! A publisher's sender reports (RFC 3550 section 6.4.1) pair its RTP timestamps with its own wall clock. That clock
//! is not ours, so its difference to ours is estimated once for the whole publisher, by the least delayed packet seen:
//! audio and video then keep their relation to each other exactly, and no packet is dated into the future.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The last sender report of a track: at `wall` by the publisher's clock the RTP clock showed `rtp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Publisher's wall clock.
    pub wall: SystemTime,
    /// RTP timestamp of that moment.
    pub rtp: u32,
}

/// Relation between one publisher's wall clock and ours.
#[derive(Debug, Default)]
pub struct PublisherClock {
    /// Our clock when the publisher's wall clock showed `Anchor::wall`, at the latest.
    anchor: Option<Anchor>,
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    wall: SystemTime,
    ours: Instant,
}

impl PublisherClock {
    /// Moment, on our clock, at which the content with RTP timestamp `rtp` was made. `rate` is the RTP clock in Hz,
    /// `arrived` the packet's arrival, never earlier than the result. Without a report yet: the arrival.
    pub fn made_at(&mut self, report: Option<Report>, rtp: u32, rate: u32, arrived: Instant) -> Instant {
        let Some(report) = report else { return arrived };
        // A publisher that does not know the time writes zero, which is no wall clock to compare with.
        if report.wall <= UNIX_EPOCH {
            return arrived;
        }
        let Some(wall) = shift_wall(report.wall, rtp_distance(report.rtp, rtp, rate)) else { return arrived };
        let Some(anchor) = self.anchor else {
            self.anchor = Some(Anchor { wall, ours: arrived });
            return arrived;
        };
        match place(anchor, wall) {
            Some(made) if made <= arrived && arrived - made < MAX_AGE => made,
            // Less delayed than all before, or the publisher's clock was set: it dates from this packet on.
            _ => {
                self.anchor = Some(Anchor { wall, ours: arrived });
                arrived
            }
        }
    }
}

/// Content older than this at arrival means that a clock jumped, not that a network delayed it.
const MAX_AGE: Duration = Duration::from_secs(10);

/// Signed distance from `from` to `to` in RTP time.
fn rtp_distance(from: u32, to: u32, rate: u32) -> i64 {
    let ticks = i64::from(to.wrapping_sub(from) as i32);
    ticks * 1_000_000_000 / i64::from(rate.max(1))
}

fn shift_wall(wall: SystemTime, nanoseconds: i64) -> Option<SystemTime> {
    let by = Duration::from_nanos(nanoseconds.unsigned_abs());
    if nanoseconds >= 0 { wall.checked_add(by) } else { wall.checked_sub(by) }
}

fn place(anchor: Anchor, wall: SystemTime) -> Option<Instant> {
    match wall.duration_since(anchor.wall) {
        Ok(after) => anchor.ours.checked_add(after),
        Err(before) => anchor.ours.checked_sub(before.duration()),
    }
}

/// RTP timestamp, starting at 0 at `epoch`, of content made at `made`; wraps below zero for content made before.
///
/// str0m reports RTP time 0 for a sending stream until its first packet. Counting from the moment at which the stream
/// was declared makes that first report true instead of a jump that receivers take seconds to recover from.
pub fn timestamp_since(epoch: Instant, made: Instant, rate: u32) -> u32 {
    let ticks = |d: Duration| (d.as_nanos() * u128::from(rate) / 1_000_000_000) as u32;
    match made.checked_duration_since(epoch) {
        Some(after) => ticks(after),
        None => ticks(epoch - made).wrapping_neg(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIO: u32 = 48_000;
    const VIDEO: u32 = 90_000;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn without_a_report_content_dates_from_its_arrival() {
        let now = Instant::now();
        assert_eq!(PublisherClock::default().made_at(None, 5, AUDIO, now), now);
    }

    #[test]
    fn audio_and_video_made_together_get_the_same_moment_whatever_their_delays() {
        let start = Instant::now() + Duration::from_secs(100);
        // A publisher whose wall clock is far off ours.
        let wall = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let audio = Some(Report { wall, rtp: 1_000 });
        let video = Some(Report { wall: wall + ms(5), rtp: 4_000_000_000 });
        let mut clock = PublisherClock::default();
        // Made 20 ms after `wall`: audio takes 8 ms to arrive, video 60 ms.
        let a = clock.made_at(audio, 1_000 + 960, AUDIO, start + ms(28));
        let v = clock.made_at(video, 4_000_000_000 + 15 * 90, VIDEO, start + ms(80));
        assert_eq!(a, v);
        // A second later, at the other extreme of jitter, still the same relation.
        let a = clock.made_at(audio, 1_000 + 960 + 48_000, AUDIO, start + ms(1_058));
        let v = clock.made_at(video, 4_000_000_000u32.wrapping_add(15 * 90 + 90_000), VIDEO, start + ms(1_040));
        assert_eq!(a, v);
    }

    #[test]
    fn nothing_is_made_in_the_future() {
        let start = Instant::now() + Duration::from_secs(100);
        let report = Some(Report { wall: UNIX_EPOCH + Duration::from_secs(9), rtp: 0 });
        let mut clock = PublisherClock::default();
        assert_eq!(clock.made_at(report, 0, AUDIO, start + ms(100)), start + ms(100));
        // 10 ms of content later, only 2 ms of time later: less delayed, so the relation is corrected.
        assert_eq!(clock.made_at(report, 480, AUDIO, start + ms(102)), start + ms(102));
        assert_eq!(clock.made_at(report, 0, AUDIO, start + ms(102)), start + ms(92));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_date_content_by_hours() {
        let start = Instant::now() + Duration::from_secs(10_000);
        let wall = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let mut clock = PublisherClock::default();
        clock.made_at(Some(Report { wall, rtp: 0 }), 0, AUDIO, start);
        let set_back = Some(Report { wall: wall - Duration::from_secs(3600), rtp: 48_000 });
        assert_eq!(clock.made_at(set_back, 48_000, AUDIO, start + ms(1_000)), start + ms(1_000));
    }

    #[test]
    fn outgoing_timestamps_count_from_the_declaration_and_wrap_below_it() {
        let epoch = Instant::now() + Duration::from_secs(100);
        assert_eq!(timestamp_since(epoch, epoch, VIDEO), 0);
        assert_eq!(timestamp_since(epoch, epoch + ms(100), VIDEO), 9_000);
        assert_eq!(timestamp_since(epoch, epoch - ms(100), VIDEO), 0u32.wrapping_sub(9_000));
    }
}
