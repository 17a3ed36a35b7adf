//! How good a participant's connection is, on the scale that LiveKit's clients show.
//!
//! A simplified E-model (ITU-T G.107): from 100 points, delay and loss take some away; so does a picture that is smaller than it should
//! be, because there is no bandwidth for it. A connection is as good as the worst of the tracks on it.

use std::time::Duration;

use super::TrackKind;

/// How often connections are rated.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// Best score.
const BEST: f64 = 100.0;
/// Lower than this a score does not fall, so that it climbs back in time.
const FLOOR: f64 = 30.0;
/// What is better than it was counts by this share, what is worse by the other.
const RISE: f64 = 0.4;
const FALL: f64 = 0.8;
/// Points for each percent of loss. Pictures have nothing that hides it; sound has the redundancy of Opus.
const LOSS_OF_PICTURES: f64 = 10.0;
const LOSS_OF_SOUND: f64 = 8.0 / 1.5;
/// Points for each layer that is missing.
const LAYER: f64 = 35.0;

/// What was seen of a track for a while.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Window {
    /// Packets on their way; without any nothing is known.
    pub expected: u64,
    /// Of them, those that did not arrive.
    pub lost: u64,
    /// One way, with what a receiver has to wait for late packets.
    pub delay: Duration,
    /// How many layers better the picture should be.
    pub missing_layers: u8,
    /// There is no bandwidth for the picture.
    pub paused: bool,
}

/// Score of one track in one direction.
#[derive(Debug)]
pub struct Score(f64);

impl Default for Score {
    /// Nothing is wrong yet.
    fn default() -> Score {
        Score(BEST)
    }
}

impl Score {
    /// Takes what was seen of the track since the last call into account; returns the score, 0 to 100.
    pub fn update(&mut self, kind: TrackKind, window: &Window) -> f64 {
        if window.paused {
            self.0 = FLOOR;
        } else if window.expected > 0 {
            let weight = match kind {
                TrackKind::Audio => LOSS_OF_SOUND,
                TrackKind::Video => LOSS_OF_PICTURES,
            };
            let percent = window.lost.min(window.expected) as f64 * 100.0 / window.expected as f64;
            let packets = BEST - delay_impairment(window.delay) - percent * weight;
            let layers = BEST - f64::from(window.missing_layers) * LAYER;
            let now = packets.min(layers).max(0.0);
            let share = if now < self.0 { FALL } else { RISE };
            self.0 = (self.0 + (now - self.0) * share).max(FLOOR);
        }
        self.0
    }
}

/// Up to 160 ms hardly disturb a conversation.
fn delay_impairment(delay: Duration) -> f64 {
    let ms = delay.as_secs_f64() * 1000.0;
    if ms > 160.0 { (ms - 120.0) / 10.0 } else { ms / 40.0 }
}

/// How good a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Nothing comes any more.
    Lost,
    /// Hardly usable.
    Poor,
    /// Usable.
    Good,
    /// Nothing to complain of.
    Excellent,
}

/// A connection's rating.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rating {
    /// How good it is.
    pub level: Level,
    /// Mean opinion score, 1 to 4.5 (ITU-T P.800).
    pub mos: f32,
}

impl Rating {
    /// By the score of its worst track.
    pub fn of(score: f64) -> Rating {
        let level = match score {
            score if score > 80.0 => Level::Excellent,
            score if score > 40.0 => Level::Good,
            score if score > 20.0 => Level::Poor,
            _ => Level::Lost,
        };
        let score = score.clamp(0.0, BEST);
        // G.107, annex B.
        let mos = 1.0 + 0.035 * score + 0.000_007 * score * (score - 60.0) * (BEST - score);
        Rating { level, mos: mos as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(kind: TrackKind, windows: &[Window]) -> Vec<Level> {
        let mut score = Score::default();
        windows.iter().map(|window| Rating::of(score.update(kind, window)).level).collect()
    }

    fn loss(lost: u64) -> Window {
        Window { expected: 1000, lost, ..Window::default() }
    }

    #[test]
    fn loss_hurts_pictures_more_than_sound() {
        use Level::{Excellent, Good, Poor};
        for (kind, lost, expected) in [
            (TrackKind::Video, 0, Excellent),
            (TrackKind::Video, 15, Excellent),
            (TrackKind::Video, 40, Good),
            (TrackKind::Video, 90, Poor),
            (TrackKind::Audio, 25, Excellent),
            (TrackKind::Audio, 60, Good),
            (TrackKind::Audio, 150, Poor),
            (TrackKind::Audio, 1000, Poor),
        ] {
            assert_eq!(levels(kind, &[loss(lost)]), [expected], "{kind:?} {lost} of 1000");
        }
    }

    #[test]
    fn it_gets_worse_at_once_and_better_with_patience() {
        use Level::{Excellent, Good, Poor};
        let windows = [loss(0), loss(200), loss(0), loss(0), loss(0)];
        assert_eq!(levels(TrackKind::Video, &windows), [Excellent, Poor, Good, Good, Excellent]);
    }

    #[test]
    fn delay_counts_when_a_conversation_suffers() {
        for (ms, expected) in
            [(20, Level::Excellent), (160, Level::Excellent), (250, Level::Excellent), (450, Level::Good)]
        {
            let window = Window { delay: Duration::from_millis(ms), ..loss(0) };
            assert_eq!(levels(TrackKind::Audio, &[window]), [expected], "{ms} ms");
        }
    }

    #[test]
    fn a_picture_that_is_too_small_or_held_back_counts() {
        use Level::{Good, Poor};
        let small = |layers| Window { missing_layers: layers, ..loss(0) };
        assert_eq!(levels(TrackKind::Video, &[small(1), small(1), small(2)]), [Good, Good, Poor]);
        assert_eq!(levels(TrackKind::Video, &[Window { paused: true, ..Window::default() }]), [Poor]);
    }

    #[test]
    fn nothing_that_came_proves_nothing() {
        use Level::{Excellent, Good};
        assert_eq!(levels(TrackKind::Video, &[Window::default()]), [Excellent]);
        assert_eq!(levels(TrackKind::Video, &[loss(40), Window::default()]), [Good, Good]);
    }

    #[test]
    fn scores_are_opinions() {
        assert_eq!(Rating::of(100.0), Rating { level: Level::Excellent, mos: 4.5 });
        assert_eq!(Rating::of(0.0), Rating { level: Level::Lost, mos: 1.0 });
        assert!((Rating::of(80.0).mos - 4.024).abs() < 0.001);
    }
}
