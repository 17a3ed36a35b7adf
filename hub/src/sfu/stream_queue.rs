//! What waits to go out on a stream. TCP holds everything back behind a lost packet, so a queue would grow without end on a link that is
//! too narrow: media that comes late is worth nothing, and what has no room is dropped as a network would drop it, pictures first.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::framing::frame;

/// Bytes that may wait before pictures are dropped: a large key frame fits.
const FOR_PICTURES: usize = 96 << 10;
/// Pictures are dropped, too, as long as what is to go out next has waited for so long.
const OLD: Duration = Duration::from_millis(300);
/// And before sound is.
const FOR_SOUND: usize = 128 << 10;
/// And before everything is: ICE, DTLS, reports and data.
const FOR_ALL: usize = 256 << 10;
/// A packet of media that is larger carries pictures.
const SOUND_SIZE: usize = 400;

/// The queue. The first datagram may have gone out in part.
#[derive(Debug, Default)]
pub struct StreamQueue {
    frames: VecDeque<(Instant, Vec<u8>)>,
    /// Bytes of the first that are out.
    sent: usize,
    bytes: usize,
}

impl StreamQueue {
    /// Puts a datagram at the end; false when there is no room for it.
    pub fn push(&mut self, datagram: &[u8], now: Instant) -> bool {
        let most = match kind(datagram) {
            Kind::Picture
                if self.frames.front().is_some_and(|(since, _)| now.saturating_duration_since(*since) > OLD) =>
            {
                0
            }
            Kind::Picture => FOR_PICTURES,
            Kind::Sound => FOR_SOUND,
            Kind::Control => FOR_ALL,
        };
        if self.bytes + datagram.len() > most {
            return false;
        }
        let Some(framed) = frame(datagram) else { return false };
        self.bytes += framed.len();
        self.frames.push_back((now, framed));
        true
    }

    /// What is to go out next.
    pub fn front(&self) -> Option<&[u8]> {
        self.frames.front().and_then(|(_, framed)| framed.get(self.sent..))
    }

    /// So many bytes of it are out.
    pub fn advance(&mut self, bytes: usize) {
        self.sent += bytes;
        self.bytes -= bytes;
        if self.frames.front().is_some_and(|(_, framed)| self.sent >= framed.len()) {
            self.frames.pop_front();
            self.sent = 0;
        }
    }

    /// Whether one datagram waits, of which nothing is out.
    pub fn is_single(&self) -> bool {
        self.frames.len() == 1 && self.sent == 0
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Picture,
    Sound,
    Control,
}

/// By its first bytes (RFC 7983, section 7, and RFC 5761, section 4) and its size: what is inside is encrypted.
fn kind(datagram: &[u8]) -> Kind {
    match datagram {
        [128..192, 64..=95 | 192..=223, ..] => Kind::Control,
        [128..192, ..] if datagram.len() > SOUND_SIZE => Kind::Picture,
        [128..192, ..] => Kind::Sound,
        _ => Kind::Control,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(first: u8, second: u8, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        (bytes[0], bytes[1]) = (first, second);
        bytes
    }

    #[test]
    fn datagrams_are_told_apart() {
        let cases = [
            (datagram(0, 1, 100), Kind::Control),
            (datagram(22, 254, 1_200), Kind::Control),
            (datagram(128, 200, 1_000), Kind::Control),
            (datagram(144, 111, 120), Kind::Sound),
            (datagram(144, 96 | 128, 1_200), Kind::Picture),
            (vec![], Kind::Control),
        ];
        for (bytes, expected) in cases {
            assert_eq!(kind(&bytes), expected, "{:?}", bytes.get(..2));
        }
    }

    #[test]
    fn pictures_give_way_to_sound_and_both_to_what_keeps_the_connection() {
        let (mut queue, now) = (StreamQueue::default(), Instant::now());
        let fill = |queue: &mut StreamQueue, bytes: &[u8]| (0..10_000).filter(|_| queue.push(bytes, now)).count();
        let pictures = fill(&mut queue, &datagram(144, 96, 1_200));
        assert_eq!(pictures, FOR_PICTURES / 1_202);
        assert!(fill(&mut queue, &datagram(144, 111, 120)) > 200);
        assert!(fill(&mut queue, &datagram(22, 254, 1_000)) > 100);
        assert!(queue.bytes <= FOR_ALL + 2);
    }

    #[test]
    fn pictures_are_dropped_while_something_old_waits() {
        let (mut queue, start) = (StreamQueue::default(), Instant::now());
        let (picture, sound) = (datagram(144, 96, 1_200), datagram(144, 111, 120));
        assert!(queue.push(&picture, start));
        assert!(queue.push(&picture, start + OLD));
        let late = start + OLD + Duration::from_millis(1);
        assert_eq!((queue.push(&picture, late), queue.push(&sound, late)), (false, true));
        queue.advance(1_202);
        assert!(queue.push(&picture, late), "what is next is younger");
    }

    #[test]
    fn what_goes_out_in_pieces_is_whole() {
        let mut queue = StreamQueue::default();
        let sent = [datagram(0, 1, 100), datagram(144, 96, 1_200)];
        assert!(sent.iter().all(|bytes| queue.push(bytes, Instant::now())));
        let mut out = Vec::new();
        while let Some(bytes) = queue.front() {
            let piece = &bytes[..bytes.len().min(33)];
            out.extend_from_slice(piece);
            let count = piece.len();
            queue.advance(count);
        }
        let expected: Vec<u8> = sent.iter().flat_map(|bytes| frame(bytes).expect("small enough")).collect();
        assert_eq!(out, expected);
        assert_eq!((queue.bytes, queue.is_empty()), (0, true));
    }
}
