//! Which layer of a simulcast one subscriber gets, and when it moves to another.
//!
//! A decoder can follow another encoding only from its key frame on: until that comes, the old one goes on.

use std::time::{Duration, Instant};

/// A picture without room for its smallest layer is paused when that lasts so long.
const STARVED: Duration = Duration::from_secs(2);
/// More bandwidth must be there for so long before a better layer is taken.
const STEADY: Duration = Duration::from_secs(1);
/// After a step down, nothing better is tried for so long.
const CAUTION: Duration = Duration::from_secs(4);
/// A better layer flows so long after it was taken, at the latest.
const FLOWING: Duration = Duration::from_secs(1);

/// One encoding as the choice sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Its SSRC.
    pub ssrc: u32,
    /// Its place in the simulcast, better ones are higher; 0 for a track with one encoding.
    pub rank: u8,
}

/// What to do with a packet for one subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Forward it.
    Forward,
    /// It belongs to a layer that this subscriber does not get.
    Drop,
    /// Its layer is to be changed to, at its next key frame: ask for one.
    WantKeyFrame,
}

/// The layer that a subscriber gets at present.
#[derive(Debug, Default)]
pub struct Selection {
    current: Option<u32>,
    /// It was forwarded before: what comes now does not continue what the receiver has.
    interrupted: bool,
}

impl Selection {
    /// SSRC of the layer that is forwarded.
    pub fn current(&self) -> Option<u32> {
        self.current
    }

    /// A stream is forwarded of which something else chooses the layers.
    pub fn follow(&mut self, layer: Layer) {
        (self.current, self.interrupted) = (Some(layer.ssrc), false);
    }

    /// Forwarding stopped: any layer has to begin with a key frame.
    pub fn stop(&mut self) {
        self.interrupted |= self.current.take().is_some();
    }

    /// Judges a packet of `layer` while `target` is the layer to be on; `key_frame` says whether it begins one.
    pub fn judge(&mut self, layer: Layer, key_frame: bool, target: Layer) -> Choice {
        if self.current == Some(layer.ssrc) {
            return Choice::Forward;
        }
        let is_target = layer.ssrc == target.ssrc;
        // A track with one encoding has nothing to wait for at first: its receiver asks for the key frame it needs.
        let begins = key_frame || (layer.rank == 0 && !self.interrupted);
        // Nothing is shown yet: a smaller picture now is better than the right one later.
        let stopgap = self.current.is_none() && layer.rank < target.rank;
        match (begins, is_target, stopgap) {
            (true, true, _) | (true, _, true) => {
                (self.current, self.interrupted) = (Some(layer.ssrc), false);
                Choice::Forward
            }
            (false, true, _) => Choice::WantKeyFrame,
            _ => Choice::Drop,
        }
    }
}

/// The best rank that a subscriber's bandwidth allows: falls at once and rises with patience, so that a link at the
/// edge between two layers does not make the picture jump.
///
/// A fall out of the blue is one to the smallest layer: the link's queue is full then, and of a larger key frame a part would be lost.
/// What was offered follows a second after that is offered again.
#[derive(Debug)]
pub struct Grant {
    rank: u8,
    ceiling: u8,
    paused: bool,
    starved: Option<Instant>,
    rising: Option<Instant>,
    fell: Option<Instant>,
    rose: Option<Instant>,
}

impl Default for Grant {
    /// Everything, until an estimate says otherwise.
    fn default() -> Grant {
        Grant { rank: u8::MAX, ceiling: u8::MAX, paused: false, starved: None, rising: None, fell: None, rose: None }
    }
}

impl Grant {
    /// Best rank allowed.
    pub fn rank(&self) -> u8 {
        self.rank
    }

    /// Better layers than this are not to be sent even until the next one's key frame: a link that got narrow delivers
    /// them in pieces, and the key frame waits behind those.
    pub fn ceiling(&self) -> u8 {
        self.ceiling
    }

    /// A step down was just made: the link's queue is to run empty before anything is sent only to find out what it carries.
    pub fn is_draining(&self, now: Instant) -> bool {
        self.fell.is_some_and(|fell| now < fell + STEADY)
    }

    /// A step up is to be made, or was made just now.
    pub fn is_rising(&self, now: Instant) -> bool {
        self.rising.is_some() || self.is_settling(now)
    }

    /// A step up was made just now: its key frame and what follows are on their way.
    pub fn is_settling(&self, now: Instant) -> bool {
        self.rose.is_some_and(|rose| now < rose + FLOWING)
    }

    /// Nothing of it is to be sent.
    pub fn paused(&self) -> bool {
        self.paused
    }

    /// More is wished for, and flows from now on if it is allowed.
    pub fn rise(&mut self, now: Instant) {
        self.rose = Some(now);
    }

    /// Nothing better than `rank` flows or is known to fit. More is reached by a step up, and this is no fall.
    pub fn limit(&mut self, rank: u8) {
        if rank < self.rank {
            (self.rank, self.rising) = (rank, None);
        }
    }

    /// What the bandwidth would allow now; `None` when not even the smallest layer has room.
    pub fn update(&mut self, offered: Option<u8>, now: Instant) {
        let Some(offered) = offered else {
            let since = *self.starved.get_or_insert(now);
            if now >= since + STARVED && !self.paused {
                (self.paused, self.fell) = (true, Some(now));
            }
            (self.rank, self.ceiling, self.rising) = (0, 0, None);
            return;
        };
        self.starved = None;
        if offered <= self.rank && !self.paused {
            if offered < self.rank {
                let surprise = self.fell.is_none_or(|fell| now >= fell + CAUTION);
                self.fell = Some(now);
                if surprise {
                    (self.rank, self.ceiling, self.rising) = (0, offered, Some(now));
                    return;
                }
            }
            self.rank = offered;
            self.rising = None;
            return;
        }
        let since = *self.rising.get_or_insert(now);
        let returns = self.ceiling < u8::MAX && offered <= self.ceiling;
        let cautious = !returns && self.fell.is_some_and(|fell| now < fell + CAUTION);
        if now >= since + STEADY && !cautious {
            (self.rank, self.ceiling) = (offered, u8::MAX);
            (self.rising, self.rose) = (None, Some(now));
            self.paused = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q: Layer = Layer { ssrc: 1, rank: 1 };
    const F: Layer = Layer { ssrc: 3, rank: 3 };

    #[test]
    fn a_layer_is_changed_only_at_a_key_frame_of_the_new_one() {
        let mut selection = Selection::default();
        let steps: &[(Layer, bool, Layer, Choice)] = &[
            (Q, false, F, Choice::Drop),
            (F, false, F, Choice::WantKeyFrame),
            (Q, true, F, Choice::Forward),
            (Q, false, F, Choice::Forward),
            (F, false, F, Choice::WantKeyFrame),
            (F, true, F, Choice::Forward),
            (Q, true, F, Choice::Drop),
            (F, false, Q, Choice::Forward),
            (Q, false, Q, Choice::WantKeyFrame),
            (Q, true, Q, Choice::Forward),
            (F, true, Q, Choice::Drop),
        ];
        for (n, (layer, key_frame, target, expected)) in steps.iter().enumerate() {
            assert_eq!(selection.judge(*layer, *key_frame, *target), *expected, "step {n}");
        }
    }

    #[test]
    fn nothing_better_than_the_target_begins() {
        let mut selection = Selection::default();
        assert_eq!(selection.judge(F, true, Q), Choice::Drop);
        assert_eq!(selection.current(), None);
    }

    #[test]
    fn a_single_encoding_is_forwarded_from_its_first_packet_and_after_a_restart() {
        let mut selection = Selection::default();
        let (first, second) = (Layer { ssrc: 7, rank: 0 }, Layer { ssrc: 9, rank: 0 });
        assert_eq!(selection.judge(first, false, first), Choice::Forward);
        assert_eq!(selection.judge(second, false, second), Choice::Forward);
        assert_eq!(selection.judge(first, false, second), Choice::Drop);
    }

    #[test]
    fn a_grant_falls_at_once_and_rises_with_patience() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut grant = Grant::default();
        // (ms, offered, rank, ceiling)
        let steps: &[(u64, u8, u8, u8)] = &[
            (0, u8::MAX, u8::MAX, u8::MAX),
            (100, 2, 0, 2),
            (600, 2, 0, 2),
            (1_100, 2, 2, u8::MAX),
            (1_200, 1, 1, u8::MAX),
            (1_300, 3, 1, u8::MAX),
            (2_400, 3, 1, u8::MAX),
            (5_300, 3, 3, u8::MAX),
            (9_500, 2, 0, 2),
            (9_600, 1, 0, 2),
            (10_600, 1, 1, u8::MAX),
        ];
        for (ms, offered, rank, ceiling) in steps {
            grant.update(Some(*offered), at(*ms));
            assert_eq!((grant.rank(), grant.ceiling()), (*rank, *ceiling), "at {ms} ms");
        }
    }

    #[test]
    fn a_step_up_is_on_its_way_from_its_offer_until_it_has_settled() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut grant = Grant::default();
        // (ms, offered, on its way, settling)
        let steps: &[(u64, u8, bool, bool)] = &[
            (0, u8::MAX, false, false),
            (100, 1, true, false),
            (200, 0, false, false),
            (1_200, 1, true, false),
            (2_100, 1, true, false),
            (2_200, 1, true, true),
            (3_100, 1, true, true),
            (3_200, 1, false, false),
        ];
        for (ms, offered, is_rising, is_settling) in steps {
            grant.update(Some(*offered), at(*ms));
            assert_eq!(
                (grant.is_rising(at(*ms)), grant.is_settling(at(*ms))),
                (*is_rising, *is_settling),
                "at {ms} ms"
            );
        }
    }

    #[test]
    fn what_never_flowed_does_not_fall() {
        let start = Instant::now();
        let mut grant = Grant::default();
        grant.limit(2);
        grant.update(Some(2), start);
        assert_eq!((grant.rank(), grant.is_draining(start)), (2, false));
        grant.limit(3);
        grant.update(Some(3), start);
        assert_eq!(grant.rank(), 2, "more than flows is risen to");
        grant.update(Some(3), start + STEADY);
        assert_eq!(grant.rank(), 3);
    }

    #[test]
    fn a_wish_for_more_settles_as_a_step_up_does() {
        let start = Instant::now();
        let mut grant = Grant::default();
        grant.rise(start);
        assert!(grant.is_settling(start));
        assert!(!grant.is_settling(start + FLOWING));
    }

    #[test]
    fn for_a_second_after_a_step_down_the_links_queue_runs_empty() {
        let start = Instant::now();
        let mut grant = Grant::default();
        assert!(!grant.is_draining(start));
        grant.update(Some(1), start);
        assert!(grant.is_draining(start + Duration::from_millis(999)));
        assert!(!grant.is_draining(start + Duration::from_secs(1)));
    }

    #[test]
    fn what_is_starved_for_long_is_paused_until_there_is_room_again() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut grant = Grant::default();
        let steps: &[(u64, Option<u8>, bool)] = &[
            (0, None, false),
            (1_900, None, false),
            (1_950, Some(1), false),
            (2_000, None, false),
            (4_000, None, true),
            (4_100, Some(1), true),
            (7_900, Some(1), true),
            (8_100, Some(1), false),
        ];
        for (ms, offered, expected) in steps {
            grant.update(*offered, at(*ms));
            assert_eq!(grant.paused(), *expected, "at {ms} ms");
        }
        assert_eq!(grant.rank(), 1);
    }

    #[test]
    fn after_an_interruption_even_a_single_encoding_begins_with_a_key_frame() {
        let mut selection = Selection::default();
        let only = Layer { ssrc: 7, rank: 0 };
        selection.stop();
        assert_eq!(selection.judge(only, false, only), Choice::Forward, "nothing was forwarded before");
        selection.stop();
        assert_eq!(selection.judge(only, false, only), Choice::WantKeyFrame);
        assert_eq!(selection.judge(only, true, only), Choice::Forward);
    }
}
