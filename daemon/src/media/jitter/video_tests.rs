use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::video::{Next, VideoBuffer, VideoCodec, VideoPacket};
use crate::clock::Monotonic;
use crate::media::rtp::{h264::H264Packetizer, h264::nal_units, vp8};

const RTT: Duration = Duration::from_millis(80);
const FRAME_TICKS: u32 = 3000;

fn ms(millis: u64) -> Monotonic {
    Monotonic::from_millis(10_000 + millis)
}

/// What a frame's data holds, so that a test can tell which one came out and whether it is whole.
fn data(frame: u32, length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..length).map(|n| (n as u32 * 7 + frame * 13) as u8 | 2).collect();
    // Seven bits a byte, the eighth set: never a start code.
    for (n, byte) in bytes[1..5].iter_mut().enumerate() {
        *byte = 0x80 | (frame >> (7 * n)) as u8;
    }
    bytes
}

fn number(content: &[u8]) -> u32 {
    content[1..5].iter().rev().fold(0, |number, &byte| number << 7 | u32::from(byte & 0x7f))
}

/// A stream of numbered frames, cut into packets.
struct Stream {
    codec: VideoCodec,
    sequence: u16,
    timestamp: u32,
    frame: u32,
    packetizer: H264Packetizer,
}

impl Stream {
    fn new(codec: VideoCodec, sequence: u16) -> Self {
        Self { codec, sequence, timestamp: u32::MAX - 10 * FRAME_TICKS, frame: 0, packetizer: H264Packetizer::new() }
    }

    fn content(codec: VideoCodec, frame: u32, key: bool, length: usize) -> Vec<u8> {
        let mut bytes = data(frame, length);
        bytes[0] = match codec {
            VideoCodec::H264 => {
                if key {
                    0x65
                } else {
                    0x41
                }
            }
            VideoCodec::Vp8 => u8::from(!key),
        };
        bytes
    }

    fn frame(&mut self, key: bool, length: usize) -> Vec<VideoPacket> {
        let content = Self::content(self.codec, self.frame, key, length);
        let mut payloads = Vec::new();
        match self.codec {
            VideoCodec::H264 => {
                if key {
                    self.packetizer.push(&[0x67, 1, 2, 3]);
                    self.packetizer.push(&[0x68, 1, 2]);
                }
                self.packetizer.push(&content);
                self.packetizer.finish(|payload, marker| payloads.push((payload, marker)));
            }
            VideoCodec::Vp8 => vp8::packetize(&content, self.frame as u16 & 0x7fff, |payload, marker| {
                payloads.push((Bytes::from(payload), marker));
            }),
        }
        self.frame += 1;
        self.timestamp = self.timestamp.wrapping_add(FRAME_TICKS);
        payloads.into_iter().map(|(payload, marker)| self.packet(payload, marker)).collect()
    }

    fn packet(&mut self, payload: Bytes, marker: bool) -> VideoPacket {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        let (timestamp, codec) = (self.timestamp, self.codec);
        VideoPacket { arrived: ms(0), sequence, timestamp, marker, codec, payload }
    }
}

/// The buffer with what it said.
struct Rig {
    buffer: VideoBuffer,
    codec: VideoCodec,
    frames: Vec<u32>,
    requests: Vec<Monotonic>,
    wake: Option<Monotonic>,
    rtt: Duration,
}

impl Rig {
    fn new(codec: VideoCodec) -> Self {
        Self { buffer: VideoBuffer::new(), codec, frames: Vec::new(), requests: Vec::new(), wake: None, rtt: RTT }
    }

    fn give(&mut self, at: u64, packets: impl IntoIterator<Item = VideoPacket>) {
        for mut packet in packets {
            packet.arrived = ms(at);
            // The thread that waits is woken only for news: whatever is missed here is missed in a call.
            if self.buffer.insert(packet) {
                self.ask(at);
            }
        }
    }

    fn ask(&mut self, at: u64) {
        let mut unit = Vec::new();
        loop {
            match self.buffer.next(ms(at), self.rtt, &mut unit) {
                Next::Frame(frame) => {
                    let content = match self.codec {
                        VideoCodec::H264 => nal_units(&unit).last().expect("a slice").to_vec(),
                        VideoCodec::Vp8 => unit.clone(),
                    };
                    let number = number(&content);
                    assert_eq!(
                        content,
                        Stream::content(self.codec, number, frame.key, content.len()),
                        "frame {number} is whole"
                    );
                    self.frames.push(number);
                }
                Next::RequestKeyFrame => self.requests.push(ms(at)),
                Next::Wait(until) => {
                    self.wake = until;
                    return;
                }
            }
        }
    }
}

fn both(test: impl Fn(VideoCodec)) {
    test(VideoCodec::H264);
    test(VideoCodec::Vp8);
}

#[test]
fn a_complete_frame_comes_out_at_once() {
    both(|codec| {
        let (mut stream, mut rig) = (Stream::new(codec, 65_530), Rig::new(codec));
        for n in 0..20_u32 {
            let mut packets = stream.frame(n == 0, 3000);
            let last = packets.pop();
            rig.give(u64::from(n) * 33, packets);
            assert_eq!(rig.frames.len(), n as usize, "nothing before the last packet");
            rig.give(u64::from(n) * 33, last);
        }
        assert_eq!(rig.frames, (0..20).collect::<Vec<_>>());
        assert_eq!((rig.requests.len(), rig.wake), (0, None), "nobody is asked, no clock runs");
    });
}

#[test]
fn order_does_not_matter_and_doubles_are_dropped() {
    both(|codec| {
        let (mut stream, mut rig) = (Stream::new(codec, 10), Rig::new(codec));
        rig.give(0, stream.frame(true, 3000));
        let packets: Vec<VideoPacket> = (1..4).flat_map(|_| stream.frame(false, 3000)).collect();
        for chunk in packets.chunks(4) {
            rig.give(5, chunk.iter().rev().cloned());
            rig.give(6, chunk.iter().cloned());
        }
        assert_eq!(rig.frames, [0, 1, 2, 3]);
        assert_eq!(rig.buffer.counters().late as usize, packets.len());
        assert!(rig.requests.is_empty());
    });
}

#[test]
fn a_gap_waits_for_its_repair_without_asking_for_a_key_frame() {
    both(|codec| {
        for lost in 0..3 {
            let (mut stream, mut rig) = (Stream::new(codec, 10), Rig::new(codec));
            rig.give(0, stream.frame(true, 3000));
            let mut packets = stream.frame(false, 3000);
            let missing = packets.remove(lost);
            rig.give(33, packets);
            rig.give(66, stream.frame(false, 3000));
            rig.give(100, stream.frame(false, 3000));
            assert_eq!(rig.frames, [0], "without packet {lost}");
            assert!(rig.wake.is_some(), "a gap has a time limit");
            rig.give(150, [missing]);
            assert_eq!(rig.frames, [0, 1, 2, 3], "without packet {lost}");
            assert_eq!((rig.requests.len(), rig.wake), (0, None));
        }
    });
}

#[test]
fn a_gap_that_stays_leads_to_a_key_frame_and_nothing_broken_is_shown() {
    both(|codec| {
        let (mut stream, mut rig) = (Stream::new(codec, 10), Rig::new(codec));
        rig.give(0, stream.frame(true, 3000));
        let mut packets = stream.frame(false, 3000);
        packets.remove(1);
        rig.give(33, packets);
        for n in 2..11 {
            rig.give(33 * n, stream.frame(false, 3000));
            rig.ask(33 * n + 16);
        }
        assert_eq!(rig.frames, [0]);
        assert_eq!(rig.requests.len(), 1, "asked once: {:?}", rig.requests);
        let asked = rig.requests[0].since(ms(33)).as_millis();
        assert!((150..=320).contains(&asked), "asked after {asked} ms");
        rig.give(420, stream.frame(true, 9000));
        rig.give(453, stream.frame(false, 3000));
        assert_eq!(rig.frames, [0, 11, 12]);
        assert_eq!(rig.buffer.counters().withheld, 10);
    });
}

#[test]
fn repairs_that_take_longer_than_the_round_trip_are_waited_for() {
    both(|codec| {
        let (mut stream, mut rig) = (Stream::new(codec, 10), Rig::new(codec));
        rig.rtt = Duration::from_millis(1);
        rig.give(0, stream.frame(true, 3000));
        // Each frame loses a packet that comes 200 ms later, and a key frame that nobody asked for follows.
        for n in 0..6_u64 {
            let at = 1000 * n;
            let mut packets = stream.frame(false, 3000);
            let missing = packets.remove(1);
            rig.give(at, packets);
            rig.give(at + 33, stream.frame(true, 3000));
            (1..20).for_each(|n| rig.ask(at + 33 + 8 * n));
            rig.give(at + 233, [missing]);
        }
        assert!(rig.requests.is_empty(), "{:?}", rig.requests);
        let early = 12 - (rig.frames.len() - 1);
        assert!(early <= 1, "the first one may be given up too early: {:?}", rig.frames);
    });
}

#[test]
fn the_request_is_repeated_until_a_key_frame_comes_and_then_stops() {
    both(|codec| {
        let (mut stream, mut rig) = (Stream::new(codec, 10), Rig::new(codec));
        for n in 0..30 {
            rig.give(33 * n, stream.frame(false, 2000));
        }
        assert!(rig.frames.is_empty());
        let gaps: Vec<u128> = rig.requests.windows(2).map(|pair| pair[1].since(pair[0]).as_millis()).collect();
        assert_eq!(rig.requests[0], ms(0), "asked with the first packet");
        assert!(gaps.len() >= 2 && gaps.iter().all(|&gap| (300..400).contains(&gap)), "{gaps:?}");
        rig.ask(5000);
        assert_eq!(rig.wake, None, "a sender that went quiet is not asked");
        let asked = rig.requests.len();
        rig.give(6000, stream.frame(true, 5000));
        assert_eq!((rig.frames.as_slice(), rig.requests.len()), (&[30][..], asked));
        assert_eq!(rig.buffer.counters().withheld, 0, "what came before the first picture was nobody's loss");
    });
}

#[test]
fn the_first_key_frame_may_arrive_out_of_order() {
    both(|codec| {
        let (mut stream, mut rig) = (Stream::new(codec, 0), Rig::new(codec));
        let mut packets = stream.frame(true, 3000);
        packets.reverse();
        rig.give(0, packets);
        assert_eq!(rig.frames, [0]);
    });
}

#[test]
fn an_unasked_key_frame_ends_a_gap_only_after_the_repair_had_its_time() {
    both(|codec| {
        let (mut stream, mut rig) = (Stream::new(codec, 10), Rig::new(codec));
        rig.give(0, stream.frame(true, 3000));
        let mut packets = stream.frame(false, 3000);
        let missing = packets.remove(1);
        rig.give(33, packets);
        rig.give(66, stream.frame(true, 3000));
        assert_eq!(rig.frames, [0]);
        rig.ask(120);
        assert_eq!(rig.frames, [0]);
        rig.ask(240);
        assert_eq!(rig.frames, [0, 2]);
        rig.give(250, [missing]);
        assert_eq!(rig.frames, [0, 2]);
        assert!(rig.requests.is_empty());
    });
}

#[test]
fn padding_uses_up_numbers_and_nothing_else() {
    both(|codec| {
        let (mut stream, mut rig) = (Stream::new(codec, 10), Rig::new(codec));
        rig.give(0, stream.frame(true, 3000));
        let padding = [stream.packet(Bytes::new(), false), stream.packet(Bytes::new(), false)];
        rig.give(10, padding);
        rig.give(33, stream.frame(false, 3000));
        assert_eq!(rig.frames, [0, 1]);
    });
}

#[test]
fn vp8_frame_numbers_tell_that_only_padding_was_lost() {
    let (mut stream, mut rig) = (Stream::new(VideoCodec::Vp8, 10), Rig::new(VideoCodec::Vp8));
    rig.give(0, stream.frame(true, 3000));
    let _lost = stream.packet(Bytes::new(), false);
    rig.give(33, stream.frame(false, 3000));
    assert_eq!(rig.frames, [0, 1]);
    let _lost = stream.frame(false, 900);
    rig.give(99, stream.frame(false, 900));
    assert_eq!(rig.frames, [0, 1], "a lost frame is not padding");
}

#[test]
fn after_a_decoder_error_only_a_key_frame_goes_on() {
    both(|codec| {
        let (mut stream, mut rig) = (Stream::new(codec, 10), Rig::new(codec));
        rig.give(0, stream.frame(true, 3000));
        rig.buffer.decoder_failed();
        rig.give(33, stream.frame(false, 3000));
        assert_eq!((rig.frames.as_slice(), rig.requests.len()), (&[0][..], 1));
        rig.give(99, stream.frame(true, 3000));
        assert_eq!(rig.frames, [0, 2]);
    });
}

#[test]
fn a_sender_that_starts_anew_is_followed() {
    both(|codec| {
        let (mut stream, mut rig) = (Stream::new(codec, 10), Rig::new(codec));
        rig.give(0, stream.frame(true, 3000));
        rig.give(10, stream.frame(false, 3000));
        stream.sequence = 40_000;
        rig.give(500, stream.frame(true, 9000));
        rig.give(533, stream.frame(true, 9000));
        assert!(rig.frames.ends_with(&[3]), "{:?}", rig.frames);
    });
}

#[test]
fn another_codec_starts_with_its_own_key_frame() {
    let (mut first, mut rig) = (Stream::new(VideoCodec::H264, 10), Rig::new(VideoCodec::H264));
    rig.give(0, first.frame(true, 3000));
    let mut second = Stream::new(VideoCodec::Vp8, 12);
    rig.codec = VideoCodec::Vp8;
    rig.give(33, second.frame(false, 3000));
    rig.give(66, second.frame(true, 3000));
    assert_eq!(rig.frames, [0, 1]);
}

/// A small, repeatable source of chance.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// 2 % loss and 80 ms round trip, with a sender that repeats what is asked for and the same loss for repairs and requests.
#[test]
fn at_two_percent_loss_nearly_every_frame_is_shown() {
    both(|codec| {
        let mut chance = Chance(7);
        let (mut stream, mut rig) = (Stream::new(codec, 100), Rig::new(codec));
        let frames = 3000;
        let mut arrivals: Vec<(u64, VideoPacket)> = Vec::new();
        for n in 0..frames {
            for packet in stream.frame(n % 900 == 0, 8000) {
                // Asked for about 35 ms after the gap is seen, answered a round trip later, again and again.
                let mut at = n * 100 / 3 + 40;
                while chance.next() < 0.02 {
                    at += if chance.next() < 0.04 { 220 } else { 115 };
                }
                arrivals.push((at, packet));
            }
        }
        arrivals.sort_by_key(|&(at, _)| at);
        let mut clock = 0;
        for (at, packet) in arrivals {
            while clock < at {
                clock += 1;
                if rig.wake.is_some_and(|wake| wake <= ms(clock)) {
                    rig.ask(clock);
                }
            }
            rig.give(at, [packet]);
        }
        let share = rig.buffer.counters().released as f64 / frames as f64;
        assert!(share > 0.998, "{codec:?}: {share}");
    });
}

proptest! {
    /// Whatever is lost, late, doubled or out of order: what comes out is whole, in order, and decodable.
    #[test]
    fn what_comes_out_can_be_decoded(
        seed in any::<u64>(),
        loss in 0.0_f64..0.3,
        repair in 0.0_f64..1.0,
        start in any::<u16>(),
        h264 in any::<bool>(),
    ) {
        let codec = if h264 { VideoCodec::H264 } else { VideoCodec::Vp8 };
        let mut chance = Chance(seed);
        let (mut stream, mut rig) = (Stream::new(codec, start), Rig::new(codec));
        let mut keys = Vec::new();
        let mut arrivals = Vec::new();
        for n in 0..120_u64 {
            let key = chance.next() < 0.08;
            keys.push(key);
            let length = 200 + (chance.next() * 4000.0) as usize;
            for packet in stream.frame(key, length) {
                let mut at = n * 33 + (chance.next() * 10.0) as u64;
                if chance.next() < loss {
                    if chance.next() > repair {
                        continue;
                    }
                    at += 60 + (chance.next() * 500.0) as u64;
                }
                if chance.next() < 0.05 {
                    arrivals.push((at + 20, packet.clone()));
                }
                arrivals.push((at, packet));
            }
        }
        arrivals.sort_by_key(|&(at, _)| at);
        for (at, packet) in arrivals {
            rig.give(at, [packet]);
        }
        for pair in rig.frames.windows(2) {
            prop_assert!(pair[0] < pair[1], "in order: {:?}", rig.frames);
            prop_assert!(pair[1] == pair[0] + 1 || keys[pair[1] as usize], "{} after {}", pair[1], pair[0]);
        }
        if let Some(&first) = rig.frames.first() {
            prop_assert!(keys[first as usize]);
        }
    }
}
