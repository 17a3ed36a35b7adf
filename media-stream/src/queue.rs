//! What waits to go out on a stream. TCP holds everything back behind a lost packet, so a queue would grow without end on a link that is
//! too narrow: media that comes late is worth nothing, and what has no room is dropped as a network would drop it.
//!
//! What keeps the connection goes before sound, and sound before pictures: a listener's jitter buffer grows to what the latest packet of
//! sound needed, shrinks slowly, and the pictures wait for it meanwhile.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::framing::frame;

/// Bytes of pictures that may wait: a large key frame fits.
const FOR_PICTURES: usize = 96 << 10;
/// And of sound: more than comes within [`OLD`].
const FOR_SOUND: usize = 32 << 10;
/// And of ICE, DTLS, reports and data.
const FOR_CONTROL: usize = 128 << 10;
/// New pictures are dropped as long as the next one to go out has waited for so long: what has begun to go out is worth most whole. Of
/// sound the oldest is dropped: the newest is what is heard.
const OLD: Duration = Duration::from_millis(300);

/// What a datagram carries, in the order in which they go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ICE, DTLS, reports and data.
    Control,
    /// A packet of a sound.
    Sound,
    /// A packet of a picture.
    Picture,
}

impl Kind {
    /// By its first bytes (RFC 7983, section 7, and RFC 5761, section 4), of which RTP encrypts none: `is_sound` tells that of a payload
    /// type.
    pub fn of(datagram: &[u8], is_sound: impl FnOnce(u8) -> bool) -> Kind {
        match datagram {
            [128..192, 64..=95 | 192..=223, ..] => Kind::Control,
            [128..192, payload_type, ..] if is_sound(payload_type & 0x7f) => Kind::Sound,
            [128..192, ..] => Kind::Picture,
            _ => Kind::Control,
        }
    }
}

/// Datagrams of one kind, the oldest first.
#[derive(Debug, Default)]
struct Lane {
    frames: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

impl Lane {
    fn push(&mut self, framed: Vec<u8>, now: Instant) {
        self.bytes += framed.len();
        self.frames.push_back((now, framed));
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let (_, framed) = self.frames.pop_front()?;
        self.bytes -= framed.len();
        Some(framed)
    }

    fn is_old(&self, now: Instant) -> bool {
        self.frames.front().is_some_and(|(since, _)| now.saturating_duration_since(*since) > OLD)
    }
}

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    /// What goes out, perhaps in part already: nothing can go before its rest.
    begun: Option<Vec<u8>>,
    /// Bytes of it that are out.
    sent: usize,
    control: Lane,
    sound: Lane,
    pictures: Lane,
}

impl Queue {
    /// Puts a datagram at the end of its kind; false when there is no room for it.
    pub fn push(&mut self, kind: Kind, datagram: &[u8], now: Instant) -> bool {
        let Some(framed) = frame(datagram) else { return false };
        let (lane, most) = match kind {
            Kind::Control => (&mut self.control, FOR_CONTROL),
            Kind::Sound => (&mut self.sound, FOR_SOUND),
            Kind::Picture => (&mut self.pictures, FOR_PICTURES),
        };
        match kind {
            Kind::Sound => {
                while lane.is_old(now) || lane.bytes + framed.len() > most && !lane.frames.is_empty() {
                    lane.pop();
                }
            }
            Kind::Picture if lane.is_old(now) => return false,
            Kind::Control | Kind::Picture => {}
        }
        let has_room = lane.bytes + framed.len() <= most;
        if has_room {
            lane.push(framed, now);
        }
        has_room
    }

    /// Whether what goes out next is a picture's, of which nothing is out.
    pub fn is_picture_next(&self) -> bool {
        let others = [&self.control, &self.sound];
        self.begun.is_none() && others.iter().all(|lane| lane.frames.is_empty()) && !self.pictures.frames.is_empty()
    }

    /// What is to go out next.
    pub fn front(&mut self) -> Option<&[u8]> {
        if self.begun.is_none() {
            self.begun = self.control.pop().or_else(|| self.sound.pop()).or_else(|| self.pictures.pop());
        }
        self.begun.as_deref().and_then(|framed| framed.get(self.sent..))
    }

    /// So many bytes of it are out.
    pub fn advance(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.begun.as_ref().is_some_and(|framed| self.sent >= framed.len()) {
            self.begun = None;
            self.sent = 0;
        }
    }

    /// Whether sound waits.
    #[cfg(test)]
    pub fn has_sound(&self) -> bool {
        !self.sound.frames.is_empty()
    }

    /// Whether nothing waits.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.begun.is_none() && [&self.control, &self.sound, &self.pictures].iter().all(|lane| lane.frames.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: &[u8] = &[96; 1_200];
    const SOUND: &[u8] = &[111; 120];
    const CONTROL: &[u8] = &[22; 1_000];

    #[test]
    fn datagrams_are_told_apart() {
        let cases: [(&[u8], Kind); 8] = [
            (&[0, 1, 0, 0], Kind::Control),
            (&[22, 254, 255], Kind::Control),
            (&[128, 200, 0, 6], Kind::Control),
            (&[144, 111, 0], Kind::Sound),
            (&[144, 111 | 128, 0], Kind::Sound),
            (&[144, 96, 0], Kind::Picture),
            (&[144, 96 | 128, 0], Kind::Picture),
            (&[], Kind::Control),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Kind::of(bytes, |payload_type| payload_type == 111), expected, "{bytes:?}");
        }
    }

    /// How many of these find room.
    fn fill(queue: &mut Queue, kind: Kind, bytes: &[u8], now: Instant) -> usize {
        (0..10_000).filter(|_| queue.push(kind, bytes, now)).count()
    }

    /// The first byte of each datagram that goes out.
    fn drain(queue: &mut Queue) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(bytes) = queue.front() {
            out.push(bytes[2]);
            let count = bytes.len();
            queue.advance(count);
        }
        out
    }

    #[test]
    fn each_kind_has_room_of_its_own() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        assert_eq!(fill(&mut queue, Kind::Picture, PICTURE, now), FOR_PICTURES / 1_202);
        assert_eq!(fill(&mut queue, Kind::Sound, SOUND, now), 10_000, "new sound takes the place of old");
        assert_eq!(queue.sound.frames.len(), FOR_SOUND / 122);
        assert_eq!(fill(&mut queue, Kind::Control, CONTROL, now), FOR_CONTROL / 1_002);
        assert_eq!(drain(&mut queue).len(), FOR_PICTURES / 1_202 + FOR_SOUND / 122 + FOR_CONTROL / 1_002);
        assert!(queue.is_empty());
    }

    #[test]
    fn sound_goes_before_pictures_and_what_keeps_the_connection_before_both() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for (kind, bytes) in [(Kind::Picture, PICTURE), (Kind::Sound, SOUND), (Kind::Control, CONTROL)] {
            assert!(queue.push(kind, bytes, now) && queue.push(kind, bytes, now));
        }
        assert_eq!(drain(&mut queue), [22, 22, 111, 111, 96, 96]);
    }

    #[test]
    fn what_has_begun_to_go_out_is_finished_first() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        assert!(!queue.is_picture_next());
        assert!(queue.push(Kind::Picture, PICTURE, now) && queue.is_picture_next());
        assert_eq!(queue.front().map(<[u8]>::len), Some(1_202));
        queue.advance(1_000);
        assert!(!queue.is_picture_next());
        assert!(queue.push(Kind::Sound, SOUND, now));
        assert_eq!(queue.front().map(<[u8]>::len), Some(202));
        queue.advance(202);
        assert_eq!(drain(&mut queue), [111]);
    }

    #[test]
    fn pictures_are_dropped_while_an_old_one_waits() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        assert!(queue.push(Kind::Picture, PICTURE, start));
        assert!(queue.push(Kind::Picture, PICTURE, start + OLD));
        let late = start + OLD + Duration::from_millis(1);
        assert!(!queue.push(Kind::Picture, PICTURE, late));
        queue.front();
        queue.advance(1_202);
        assert!(queue.push(Kind::Picture, PICTURE, late), "what is next is younger");
    }

    #[test]
    fn old_sound_gives_way_to_new() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        assert!(queue.push(Kind::Sound, &[1; 120], start));
        assert!(queue.push(Kind::Sound, &[2; 120], start + OLD));
        assert!(queue.push(Kind::Sound, &[3; 120], start + OLD + Duration::from_millis(1)));
        assert_eq!(drain(&mut queue), [2, 3]);
    }

    #[test]
    fn what_goes_out_in_pieces_is_whole() {
        let mut queue = Queue::default();
        let sent = [CONTROL, PICTURE];
        assert!(
            queue.push(Kind::Control, sent[0], Instant::now()) && queue.push(Kind::Picture, sent[1], Instant::now())
        );
        let mut out = Vec::new();
        while let Some(bytes) = queue.front() {
            let piece = &bytes[..bytes.len().min(33)];
            out.extend_from_slice(piece);
            let count = piece.len();
            queue.advance(count);
        }
        let expected: Vec<u8> = sent.iter().flat_map(|bytes| frame(bytes).expect("small enough")).collect();
        assert_eq!((out, queue.is_empty()), (expected, true));
    }
}
