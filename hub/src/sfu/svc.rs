//! Which spatial layers of one stream (SVC) a subscriber gets.
//!
//! Layer n of a picture needs the layers below it, and, where it is predicted, earlier pictures of its own. So less is taken from
//! any picture on, and more only from one on that needs no other. All layers of a picture have one RTP timestamp.

use std::collections::VecDeque;

/// Changes that are remembered for packets that come late.
const REMEMBERED: usize = 8;

/// A packet as the choice sees it.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// Its spatial layer, from 0.
    pub layer: u8,
    /// Its picture.
    pub timestamp: u32,
    /// Its layer's frame needs earlier pictures.
    pub predicted: bool,
    /// It is the last one of its layer's frame.
    pub ends: bool,
}

/// What to do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Forward it; `last`: nothing more of its picture is sent.
    Forward { last: bool },
    /// It is of a layer that is not sent; `wanted`: it is to be, from the next key frame on.
    Drop { wanted: bool },
}

/// Layers that a subscriber gets at present.
#[derive(Debug, Default)]
pub struct Spatial {
    /// Best layer from a picture on, in their order.
    changes: VecDeque<(u32, u8)>,
    /// The newest picture.
    newest: Option<u32>,
}

impl Spatial {
    /// Best layer that is sent, `None` when nothing is.
    pub fn current(&self) -> Option<u8> {
        self.changes.back().map(|(_, layer)| *layer)
    }

    /// Forwarding stopped: it goes on with a key frame.
    pub fn stop(&mut self) {
        *self = Spatial::default();
    }

    /// Judges a packet while nothing better than layer `allowed` is to be sent.
    pub fn judge(&mut self, slice: Slice, allowed: u8) -> Verdict {
        let starts = self.newest.is_none_or(|newest| is_later(slice.timestamp, newest));
        if starts {
            self.newest = Some(slice.timestamp);
            let next = match self.current() {
                _ if !slice.predicted => Some(allowed),
                Some(current) => Some(current.min(allowed)),
                None => None,
            };
            if let Some(next) = next.filter(|next| self.current() != Some(*next)) {
                self.changes.push_back((slice.timestamp, next));
                if self.changes.len() > REMEMBERED {
                    self.changes.pop_front();
                }
            }
        }
        let limit =
            self.changes.iter().rev().find(|(from, _)| !is_later(*from, slice.timestamp)).map(|(_, layer)| *layer);
        match limit {
            Some(limit) if slice.layer <= limit => Verdict::Forward { last: slice.ends && slice.layer == limit },
            _ => Verdict::Drop { wanted: slice.layer <= allowed && self.current().is_none_or(|c| slice.layer > c) },
        }
    }
}

fn is_later(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: Verdict = Verdict::Forward { last: true };
    const FORWARD: Verdict = Verdict::Forward { last: false };
    const DROP: Verdict = Verdict::Drop { wanted: false };
    const WANTED: Verdict = Verdict::Drop { wanted: true };

    #[test]
    fn less_from_any_picture_on_and_more_from_a_key_frame_on() {
        let mut spatial = Spatial::default();
        // Picture, layer, predicted, allowed, and what follows.
        let steps: &[(u32, u8, bool, u8, Verdict)] = &[
            (0, 0, true, 2, WANTED),
            (1, 0, false, 0, LAST),
            (1, 1, false, 0, DROP),
            (2, 0, true, 2, LAST),
            (2, 1, true, 2, WANTED),
            (3, 0, false, 2, FORWARD),
            (3, 1, false, 2, FORWARD),
            (3, 2, false, 2, LAST),
            (4, 0, true, 2, FORWARD),
            // In the middle of a picture nothing changes.
            (4, 2, true, 1, LAST),
            (5, 1, true, 1, LAST),
            (5, 2, true, 1, DROP),
            // Late: of a picture that had three, of one that had one, and of one from before.
            (4, 2, true, 1, LAST),
            (2, 1, true, 1, DROP),
            (0, 0, true, 1, DROP),
        ];
        for (n, (picture, layer, predicted, allowed, expected)) in steps.iter().enumerate() {
            let timestamp = (u32::MAX - 9_000).wrapping_add(picture * 3_000);
            let slice = Slice { layer: *layer, timestamp, predicted: *predicted, ends: true };
            assert_eq!(spatial.judge(slice, *allowed), *expected, "step {n}");
        }
    }

    #[test]
    fn after_a_stop_a_key_frame_begins() {
        let mut spatial = Spatial::default();
        let slice = |timestamp, predicted| Slice { layer: 0, timestamp, predicted, ends: false };
        assert_eq!(spatial.judge(slice(1, false), 2), FORWARD);
        spatial.stop();
        assert_eq!(spatial.judge(slice(2, true), 2), WANTED);
        assert_eq!(spatial.judge(slice(3, false), 2), FORWARD);
    }
}
