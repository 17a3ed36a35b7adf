//! When an encoder's packets are due, and what is in them: pictures at a frame rate, spread as a browser's pacer spreads
//! them, or one packet of sound every 20 ms. Time is passed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::stamp::{LENGTH, Stamp};

/// Largest payload, as browsers make them.
const PAYLOAD: usize = 1_100;
/// A pacer sends in bursts, so far apart: libwebrtc's does since 2023, and Chromium 156's pictures of 5 kB were seen to arrive
/// within half a millisecond.
const BURST: Duration = Duration::from_millis(40);
/// A pacer sends at so many times the encoder's bit rate, so that pictures are out before the next one.
const PACE: usize = 5;
/// Of so many halves: `PACE / 2` is 2.5.
const PACE_OF: usize = 2;
/// A key frame is so many times a normal picture.
const KEY_FRAME: usize = 5;
/// No two key frames that were asked for are closer: browsers ignore requests that come sooner.
const BETWEEN_KEY_FRAMES: Duration = Duration::from_millis(300);
/// Opus, one frame of 20 ms, one channel (RFC 6716 section 3.1).
const OPUS: u8 = 0x78;

/// What an encoder makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Sound or a picture's layer: the number in the stamps.
    pub encoding: u8,
    /// Frames per second.
    pub frames_per_second: u32,
    /// Bit/s of payload.
    pub bit_rate: u32,
    /// RTP clock, Hz.
    pub clock: u32,
}

impl Shape {
    /// Opus.
    pub fn sound(bit_rate: u32) -> Shape {
        Shape { encoding: 0, frames_per_second: 50, bit_rate, clock: 48_000 }
    }

    /// VP8; `layer` is 1 to 3.
    pub fn picture(layer: u8, frames_per_second: u32, bit_rate: u32) -> Shape {
        Shape { encoding: layer, frames_per_second, bit_rate, clock: 90_000 }
    }

    fn is_sound(self) -> bool {
        self.encoding == 0
    }

    fn frame_bytes(self) -> usize {
        (self.bit_rate / 8 / self.frames_per_second.max(1)) as usize
    }
}

/// One packet that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// When it is to be sent.
    pub due: Instant,
    /// RTP timestamp, from 0 on.
    pub timestamp: u32,
    /// Number in the encoding, from 0 on.
    pub counter: u64,
    /// It ends a frame: RTP's marker.
    pub last: bool,
    first: bool,
    key_frame: bool,
    frame: u64,
    bytes: usize,
}

/// An encoder's clockwork.
#[derive(Debug)]
pub struct Encoding {
    shape: Shape,
    begin: Instant,
    frame: u64,
    counter: u64,
    queue: VecDeque<Packet>,
    wants_key_frame: bool,
    last_key_frame: Option<Instant>,
}

impl Encoding {
    /// One whose first frame is at `begin`; that is a key frame.
    pub fn new(shape: Shape, begin: Instant) -> Encoding {
        let queue = VecDeque::new();
        Encoding { shape, begin, frame: 0, counter: 0, queue, wants_key_frame: true, last_key_frame: None }
    }

    /// What it makes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The next frame is to be a key frame.
    pub fn ask_for_key_frame(&mut self) {
        self.wants_key_frame = true;
    }

    /// When the next packet is due.
    pub fn due(&self) -> Instant {
        self.queue.front().map_or_else(|| self.frame_at(self.frame), |packet| packet.due)
    }

    /// The next packet, if it is due.
    pub fn take(&mut self, now: Instant) -> Option<Packet> {
        if self.queue.is_empty() && self.frame_at(self.frame) <= now {
            self.make_frame();
        }
        if self.queue.front()?.due > now {
            return None;
        }
        self.queue.pop_front()
    }

    fn frame_at(&self, frame: u64) -> Instant {
        self.begin + Duration::from_nanos(frame * 1_000_000_000 / u64::from(self.shape.frames_per_second.max(1)))
    }

    fn make_frame(&mut self) {
        let at = self.frame_at(self.frame);
        let ripe = self.last_key_frame.is_none_or(|last| at >= last + BETWEEN_KEY_FRAMES);
        let key_frame = self.wants_key_frame && ripe && !self.shape.is_sound();
        if key_frame {
            (self.wants_key_frame, self.last_key_frame) = (false, Some(at));
        }
        let bytes = self.shape.frame_bytes() * if key_frame { KEY_FRAME } else { 1 };
        let count = bytes.div_ceil(PAYLOAD).max(1);
        // What a pacer lets through in one burst.
        let burst_bytes = self.shape.bit_rate as usize / 8 * PACE / PACE_OF * BURST.as_millis() as usize / 1_000;
        let burst = (burst_bytes / PAYLOAD).max(1);
        // Of nearly the same size, the larger ones last, as libwebrtc divides a picture.
        let smaller = count - bytes % count;
        for n in 0..count {
            self.queue.push_back(Packet {
                due: at + BURST * (n / burst) as u32,
                timestamp: (self.frame * u64::from(self.shape.clock) / u64::from(self.shape.frames_per_second)) as u32,
                counter: self.counter,
                last: n + 1 == count,
                first: n == 0,
                key_frame,
                frame: self.frame,
                bytes: bytes / count + usize::from(n >= smaller),
            });
            self.counter += 1;
        }
        self.frame += 1;
    }

    /// The payload of a packet, with its stamp.
    pub fn payload(&self, packet: Packet, publisher: u16, sent: u64) -> Vec<u8> {
        let mut payload = if self.shape.is_sound() { vec![OPUS] } else { picture_head(packet) };
        payload.resize(packet.bytes.max(payload.len() + LENGTH), 0xa5);
        Stamp { publisher, encoding: self.shape.encoding, counter: packet.counter, sent }.write(&mut payload);
        payload
    }
}

/// VP8's payload descriptor with picture number and temporal layer (RFC 7741 section 4.2), and on a frame's first packet
/// the beginning of the frame (RFC 6386 section 9.1).
fn picture_head(packet: Packet) -> Vec<u8> {
    let picture = (packet.frame as u16) & 0x7fff | 0x8000;
    let start = if packet.first { 0x10 } else { 0 };
    let mut head = vec![0x80 | start, 0xe0];
    head.extend_from_slice(&picture.to_be_bytes());
    head.extend_from_slice(&[packet.frame as u8, 0]);
    if packet.first && packet.key_frame {
        // Shown, and 1280x720.
        head.extend_from_slice(&[0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02]);
    } else if packet.first {
        head.extend_from_slice(&[0x11, 0, 0]);
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(encoding: &mut Encoding, from: Instant, span: Duration) -> Vec<Packet> {
        let mut packets = Vec::new();
        while encoding.due() < from + span {
            packets.extend(encoding.take(encoding.due()));
        }
        packets
    }

    #[test]
    fn sound_is_one_packet_every_20_ms_of_the_right_size() {
        let begin = Instant::now();
        let mut encoding = Encoding::new(Shape::sound(32_000), begin);
        let packets = drain(&mut encoding, begin, Duration::from_secs(1));
        assert_eq!(packets.len(), 50);
        assert_eq!(packets[1].due, begin + Duration::from_millis(20));
        assert_eq!((packets[1].timestamp, packets[1].last), (960, true));
        assert_eq!(encoding.payload(packets[1], 0, 0).len(), 80);
    }

    #[test]
    fn pictures_have_the_bit_rate_and_end_before_the_next_one() {
        let begin = Instant::now();
        let mut encoding = Encoding::new(Shape::picture(3, 30, 1_500_000), begin);
        drain(&mut encoding, begin, Duration::from_secs(1));
        let packets = drain(&mut encoding, begin + Duration::from_secs(1), Duration::from_secs(1));
        let bytes: usize = packets.iter().map(|p| encoding.payload(*p, 0, 0).len()).sum();
        assert!((180_000..=190_000).contains(&bytes), "{bytes}");
        let frame: Vec<&Packet> = packets.iter().filter(|p| p.frame == packets[0].frame).collect();
        assert!(frame.last().expect("a packet").due - frame[0].due < Duration::from_millis(20));
        assert_eq!(frame.iter().map(|p| p.bytes).collect::<Vec<_>>(), [1041, 1041, 1042, 1042, 1042, 1042]);
        assert!(packets.windows(2).all(|pair| pair[1].counter == pair[0].counter + 1 && pair[1].due >= pair[0].due));
    }

    #[test]
    fn a_key_frame_comes_when_it_is_asked_for_and_not_too_often() {
        let begin = Instant::now();
        let mut encoding = Encoding::new(Shape::picture(1, 10, 100_000), begin);
        let keys = |packets: &[Packet]| packets.iter().filter(|p| p.first && p.key_frame).count();
        assert_eq!(keys(&drain(&mut encoding, begin, Duration::from_millis(100))), 1);
        encoding.ask_for_key_frame();
        assert_eq!(keys(&drain(&mut encoding, begin, Duration::from_millis(300))), 0, "too soon");
        assert_eq!(keys(&drain(&mut encoding, begin, Duration::from_millis(400))), 1);
        assert_eq!(keys(&drain(&mut encoding, begin, Duration::from_secs(3))), 0);
    }

    #[test]
    fn a_server_sees_where_a_key_frame_begins() {
        let begin = Instant::now();
        let mut encoding = Encoding::new(Shape::picture(1, 10, 100_000), begin);
        let first = encoding.take(begin).expect("due");
        let payload = encoding.payload(first, 7, 9);
        assert_eq!(payload[..2], [0x90, 0xe0]);
        assert_eq!(payload[6] & 1, 0, "a key frame");
        assert_eq!(payload[9..12], [0x9d, 0x01, 0x2a]);
        let stamp = Stamp::read(&payload).expect("stamped");
        assert_eq!((stamp.publisher, stamp.encoding, stamp.counter, stamp.sent), (7, 1, 0, 9));
    }
}
