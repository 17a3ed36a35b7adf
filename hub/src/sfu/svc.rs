//! Which spatial layers of one stream (SVC) a subscriber gets.
//!
//! Layer n of a picture needs the layers below it, and, where it is predicted, earlier pictures of its own. So less is taken from
//! any picture on, and more only from one on that needs no other. All layers of a picture have one RTP timestamp.
//!
//! The last packet of a picture that is sent needs the marker: without it a receiver never takes the picture for complete, and shows
//! nothing that is predicted from it. An encoder that is short of bits leaves out single layers of a picture, also the best one that a
//! subscriber gets. So what ends a smaller layer waits for the packet that follows it, a moment later, and only that tells.

use std::collections::VecDeque;

/// Changes that are remembered for packets that come late.
const REMEMBERED: usize = 8;

/// What a packet's descriptor says of its layer's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Its spatial layer, from 0.
    pub layer: u8,
    /// Spatial layers of the stream, where that is told.
    pub layers: Option<u8>,
    /// It needs earlier pictures, or, where descriptors do not tell those from the layers below it, any other frame.
    pub predicted: bool,
    /// The packet is its last one.
    pub ends: bool,
}

/// A packet as the choice sees it.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// Its spatial layer, from 0.
    pub layer: u8,
    /// Its picture.
    pub timestamp: u32,
    /// Sequence number, extended beyond 16 bits.
    pub sequence: u64,
    /// Its layer's frame needs earlier pictures, see [`Frame::predicted`].
    pub predicted: bool,
    /// It is the last one of its layer's frame.
    pub ends: bool,
    /// It is the last one of its picture.
    pub marker: bool,
}

/// What to do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Forward it; `last`: nothing more of its picture is sent.
    Forward { last: bool },
    /// Forward it when it is known whether more of its picture is sent, see [`Spatial::release`].
    Hold,
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
    /// The packet on hold: its picture and sequence number.
    held: Option<(u32, u64)>,
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

    /// What the packet that came tells of the one on hold: whether that is the last one of its picture that is sent. `None` when there is
    /// none, or when it is not known yet. To be asked before the packet is judged.
    pub fn release(&mut self, came: Slice) -> Option<bool> {
        let (picture, sequence) = self.held?;
        let last = if came.timestamp == picture && came.sequence > sequence {
            let is_sent = self.limit(picture).is_some_and(|limit| came.layer <= limit);
            // What is missing between the two may be of a layer that is sent.
            (is_sent || came.sequence == sequence + 1).then_some(!is_sent)
        } else {
            is_later(came.timestamp, picture).then_some(true)
        };
        if last.is_some() {
            self.held = None;
        }
        last
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
        let Some(limit) = self.limit(slice.timestamp).filter(|limit| slice.layer <= *limit) else {
            return Verdict::Drop { wanted: slice.layer <= allowed && self.current().is_none_or(|c| slice.layer > c) };
        };
        let last = slice.marker || (slice.ends && slice.layer == limit);
        // While another one is on hold this one is late, and not the last one.
        if slice.ends && !last && self.newest == Some(slice.timestamp) && self.held.is_none() {
            self.held = Some((slice.timestamp, slice.sequence));
            return Verdict::Hold;
        }
        Verdict::Forward { last }
    }

    /// Best layer that is sent of a picture.
    fn limit(&self, timestamp: u32) -> Option<u8> {
        self.changes.iter().rev().find(|(from, _)| !is_later(*from, timestamp)).map(|(_, layer)| *layer)
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

    fn slice(picture: u32, layer: u8, predicted: bool) -> Slice {
        let timestamp = (u32::MAX - 9_000).wrapping_add(picture * 3_000);
        let sequence = u64::from(picture * 3) + u64::from(layer);
        Slice { layer, timestamp, sequence, predicted, ends: true, marker: layer == 2 }
    }

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
            (3, 0, false, 2, Verdict::Hold),
            (3, 1, false, 2, Verdict::Hold),
            (3, 2, false, 2, LAST),
            (4, 0, true, 2, Verdict::Hold),
            // In the middle of a picture nothing changes.
            (4, 2, true, 1, LAST),
            (5, 1, true, 1, LAST),
            (5, 2, true, 1, DROP),
            // Late: of a picture that had three, of one that had one, and of one from before.
            (4, 1, true, 1, FORWARD),
            (4, 2, true, 1, LAST),
            (2, 1, true, 1, DROP),
            (0, 0, true, 1, DROP),
        ];
        for (n, (picture, layer, predicted, allowed, expected)) in steps.iter().enumerate() {
            let slice = slice(*picture, *layer, *predicted);
            spatial.release(slice);
            assert_eq!(spatial.judge(slice, *allowed), *expected, "step {n}");
        }
    }

    #[test]
    fn after_a_stop_a_key_frame_begins() {
        let mut spatial = Spatial::default();
        assert_eq!(spatial.judge(slice(1, 0, false), 2), Verdict::Hold);
        spatial.stop();
        assert_eq!(spatial.release(slice(1, 1, false)), None);
        assert_eq!(spatial.judge(slice(2, 0, true), 2), WANTED);
        assert_eq!(spatial.judge(slice(3, 0, false), 2), Verdict::Hold);
    }

    #[test]
    fn the_marker_is_on_the_last_packet_that_is_sent_of_a_picture() {
        // What comes behind the packet on hold, the end of the base layer of picture 2, of which two layers are sent: picture, layer,
        // sequence number, and what it tells.
        let cases = [
            ("the layer that is sent, too", (2, 1, 11), Some(false)),
            ("a layer that is not: the encoder left one out", (2, 2, 11), Some(true)),
            ("the next picture", (3, 0, 11), Some(true)),
            ("the same over a gap", (3, 0, 14), Some(true)),
            ("a layer that is sent, over a gap", (2, 1, 12), Some(false)),
            ("one that is not, over a gap that may be one that is", (2, 2, 13), None),
            ("something late of the same picture", (2, 0, 9), None),
            ("something late of the picture before", (1, 1, 8), None),
        ];
        for (what, (picture, layer, sequence), expected) in cases {
            let mut spatial = Spatial::default();
            assert_eq!(spatial.judge(Slice { sequence: 10, ..slice(2, 0, false) }, 1), Verdict::Hold);
            let came = Slice { sequence, ..slice(picture, layer, true) };
            assert_eq!(spatial.release(came), expected, "{what}");
            let later = Slice { sequence: 20, ..slice(4, 0, true) };
            assert_eq!(spatial.release(later), expected.is_none().then_some(true), "{what}, and later");
        }
    }

    #[test]
    fn what_is_late_does_not_take_the_place_of_the_packet_on_hold() {
        let mut spatial = Spatial::default();
        assert_eq!(spatial.judge(Slice { sequence: 10, ..slice(1, 1, false) }, 2), Verdict::Hold);
        let late = Slice { sequence: 9, ..slice(1, 0, false) };
        assert_eq!(spatial.release(late), None);
        assert_eq!(spatial.judge(late, 2), FORWARD);
        assert_eq!(spatial.release(Slice { sequence: 11, ..slice(2, 0, true) }), Some(true));
    }

    #[test]
    fn a_picture_that_ends_by_itself_waits_for_nothing() {
        let mut spatial = Spatial::default();
        let whole = Slice { marker: true, ..slice(1, 0, false) };
        assert_eq!(spatial.judge(whole, 2), LAST);
        assert_eq!(spatial.release(slice(2, 0, true)), None);
    }
}
