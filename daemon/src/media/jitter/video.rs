//! The video jitter buffer: packets in, whole frames out, in order, each only when everything it refers to went out before.
//!
//! **A frame is released when it is complete and continues the released ones without a gap, or when it is a key frame.** On a clean
//! link that is at once. After a gap the buffer waits for the retransmission; when that takes longer than the round trip lets
//! expect, it asks for a key frame as well and goes on with whichever comes first.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::sequence::Unwrapper;
use crate::clock::Monotonic;
use crate::media::rtp::{h264, vp8};

/// Packets that are kept at most: some seconds of video.
const CAPACITY: usize = 2048;
/// Packets that are kept while no key frame is in sight, because its first packet may be late.
const SEARCH_DEPTH: usize = 64;
/// A sequence number this far from the newest one belongs to another stream.
const FAR: i64 = 3000;
/// A packet that comes so soon after one that overtook it was not repaired.
const OUT_OF_ORDER: Duration = Duration::from_millis(15);
/// A gap is given up after this time.
const GIVE_UP: Duration = Duration::from_secs(1);

/// The codecs whose frames the buffer can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCodec {
    /// H.264, RFC 6184.
    H264,
    /// VP8, RFC 7741.
    Vp8,
}

/// A packet as it came from the network.
#[derive(Clone, Debug)]
pub struct VideoPacket {
    /// When it arrived.
    pub arrived: Monotonic,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp, 90 kHz.
    pub timestamp: u32,
    /// RTP marker: the last packet of a frame.
    pub marker: bool,
    /// What the payload is.
    pub codec: VideoCodec,
    /// The payload; empty for padding, which only uses up a sequence number.
    pub payload: Bytes,
}

/// A frame that may be decoded now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which decoder it is for.
    pub codec: VideoCodec,
    /// Whether decoding can start with it.
    pub key: bool,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Arrival of its first packet.
    pub first_arrived: Monotonic,
    /// Arrival of the packet that completed it.
    pub completed: Monotonic,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Decode the bytes that were put into the caller's vector.
    Frame(Frame),
    /// Ask the other side for a key frame, then ask the buffer again.
    RequestKeyFrame,
    /// Nothing before the next packet, or before this time.
    Wait(Option<Monotonic>),
}

/// Counters of the buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoBufferCounters {
    /// Frames released.
    pub released: u64,
    /// Frames of which something had arrived, but that were not released; counted from the first released one on.
    pub withheld: u64,
    /// Packets that came after their frame was released or given up, and duplicates.
    pub late: u64,
    /// Key frames asked for.
    pub requests: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing can be decoded before a key frame.
    Searching,
    /// The next packet continues what was released.
    Following,
}

#[derive(Debug)]
struct Slot {
    arrived: Monotonic,
    timestamp: u32,
    marker: bool,
    payload: Bytes,
    /// Bytes of the payload before the frame's data.
    header: usize,
    /// A frame begins here for certain.
    begins: bool,
    /// A key frame begins here for certain.
    key: bool,
    picture_id: Option<(u16, u8)>,
    /// It cannot be read, and no frame with it.
    damaged: bool,
}

/// The buffer of one stream. See the module's documentation.
#[derive(Debug)]
pub struct VideoBuffer {
    state: State,
    codec: Option<VideoCodec>,
    sequences: Unwrapper,
    newest: i64,
    /// Number of the first slot.
    base: i64,
    slots: VecDeque<Option<Slot>>,
    /// A number from far away: when the next one follows it, the sender has started anew.
    stray: Option<u16>,
    last_request: Option<Monotonic>,
    /// How long repairs take: the longest of late, slowly forgotten. A room server asks on our behalf for what was lost before it, so
    /// this can be far longer than the round trip.
    repair: Duration,
    /// The first packet of the newest gap that a key frame ended, and when the gap was noticed.
    skipped: Option<(i64, Monotonic)>,
    last_picture_id: Option<(u16, u8)>,
    last_dropped: Option<u32>,
    counters: VideoBufferCounters,
}

impl Default for VideoBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl VideoBuffer {
    /// An empty buffer that looks for a key frame.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Searching,
            codec: None,
            sequences: Unwrapper::NEW,
            newest: 0,
            base: 0,
            slots: VecDeque::new(),
            stray: None,
            last_request: None,
            repair: Duration::ZERO,
            skipped: None,
            last_picture_id: None,
            last_dropped: None,
            counters: VideoBufferCounters { released: 0, withheld: 0, late: 0, requests: 0 },
        }
    }

    /// Counters.
    #[must_use]
    pub const fn counters(&self) -> VideoBufferCounters {
        self.counters
    }

    /// Takes a packet. Returns whether [`VideoBuffer::next`] may have something new to say.
    pub fn insert(&mut self, packet: VideoPacket) -> bool {
        if self.codec != Some(packet.codec) && !packet.payload.is_empty() {
            self.restart();
            self.codec = Some(packet.codec);
        }
        if !self.slots.is_empty() || self.state == State::Following {
            let distance = self.newest - self.near(packet.sequence);
            if distance.abs() > FAR {
                let follows = self.stray == Some(packet.sequence.wrapping_sub(1));
                self.stray = Some(packet.sequence);
                if !follows {
                    return false;
                }
                self.restart();
            }
        }
        self.stray = None;
        let number = self.sequences.sequence(packet.sequence);
        // A frame's packets that follow on each other change nothing before the last one.
        let previous = usize::try_from(number - 1 - self.base).ok().and_then(|index| self.slots.get(index)?.as_ref());
        let same_frame = previous.is_some_and(|previous| previous.timestamp == packet.timestamp);
        let news = packet.marker || number != self.newest + 1 || !same_frame;
        if self.slots.is_empty() && self.state == State::Searching {
            self.base = number;
            self.newest = number;
        }
        self.newest = self.newest.max(number);
        if number < self.base {
            if self.state == State::Following || self.base - number > SEARCH_DEPTH as i64 {
                // What comes for a gap that was not waited for tells how long the next one should be.
                if let Some((since, noticed)) = self.skipped.filter(|&(since, _)| number >= since) {
                    self.learn(packet.arrived.since(noticed));
                    self.skipped = Some((since.max(number + 1), noticed));
                }
                self.counters.late += 1;
                return false;
            }
            // Nothing was released yet, so an earlier packet still finds its place.
            while self.base > number {
                self.slots.push_front(None);
                self.base -= 1;
            }
        }
        while number - self.base >= CAPACITY as i64 {
            self.lose_track();
            self.drop_slots(1);
        }
        let index = usize::try_from(number - self.base).expect("base is not above number");
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        if self.slots[index].is_some() {
            self.counters.late += 1;
            return false;
        }
        if let Some(next) = self.slots.iter().skip(index + 1).flatten().next() {
            self.learn(packet.arrived.since(next.arrived));
        }
        self.slots[index] = Some(Slot::new(packet));
        news
    }

    /// Says what to do at `now`; a frame's bytes replace what is in `unit` (Annex B, or a VP8 frame). `rtt` is the round-trip time.
    pub fn next(&mut self, now: Monotonic, rtt: Duration, unit: &mut Vec<u8>) -> Next {
        loop {
            if self.state == State::Searching {
                if let Some(start) = self.slots.iter().position(|slot| slot.as_ref().is_some_and(|slot| slot.key)) {
                    self.drop_slots(start);
                    self.state = State::Following;
                } else {
                    self.drop_slots(self.slots.len().saturating_sub(SEARCH_DEPTH));
                    // A sender that went quiet is not asked again: there is nothing to decode either.
                    let newest = self.slots.iter().flatten().map(|slot| slot.arrived).max();
                    return match newest {
                        Some(newest) if now.since(newest) < GIVE_UP => self.request(now, rtt),
                        _ => Next::Wait(None),
                    };
                }
            }
            while self.slots.front().is_some_and(|slot| slot.as_ref().is_some_and(|slot| slot.payload.is_empty())) {
                self.slots.pop_front();
                self.base += 1;
            }
            match self.frame_at(0) {
                Extent::Complete(length) => {
                    if let Some(frame) = self.release(length, unit) {
                        return Next::Frame(frame);
                    }
                }
                Extent::Open => return Next::Wait(None),
                Extent::Hole(hole) => {
                    if let Some(next) = self.at_hole(hole, now, rtt) {
                        return next;
                    }
                }
            }
        }
    }

    /// The decoder refused a frame: nothing can be shown before a key frame.
    pub fn decoder_failed(&mut self) {
        self.counters.withheld += 1;
        self.lose_track();
    }

    /// Something is missing at `hole` and something came after it. `None` = it was dealt with.
    fn at_hole(&mut self, hole: usize, now: Monotonic, rtt: Duration) -> Option<Next> {
        if hole == 0 && self.only_padding_is_missing() {
            let next = self.slots.iter().position(Option::is_some).unwrap_or(0);
            self.slots.drain(..next);
            self.base += next as i64;
            return None;
        }
        let noticed = self.slots.iter().skip(hole).flatten().map(|slot| slot.arrived).min().unwrap_or(now);
        let waited = now.since(noticed);
        let asked = self.last_request.is_some_and(|request| request >= noticed);
        // One retransmission is on its way for a round trip and the pause of who asks for it.
        let one_repair = (rtt * 3 / 2).max(self.repair * 5 / 4) + Duration::from_millis(40);
        let one_repair = one_repair.clamp(Duration::from_millis(120), Duration::from_millis(500));
        if asked || waited >= one_repair {
            let key = (hole..self.slots.len()).find(|&start| {
                self.slots[start].as_ref().is_some_and(|slot| slot.key)
                    && matches!(self.frame_at(start), Extent::Complete(_))
            });
            if let Some(key) = key {
                self.skipped = Some((self.base, noticed));
                self.drop_slots(key);
                return None;
            }
        }
        if waited >= GIVE_UP {
            self.lose_track();
            self.drop_slots(hole + 1);
            return None;
        }
        // Two retransmissions have had their time.
        let two_repairs =
            (rtt * 2 + Duration::from_millis(100)).clamp(Duration::from_millis(150), Duration::from_millis(600));
        let wake = if waited < one_repair {
            noticed + one_repair
        } else if waited < two_repairs {
            noticed + two_repairs
        } else {
            match self.request(now, rtt) {
                Next::Wait(Some(at)) => at.min(noticed + GIVE_UP),
                other => return Some(other),
            }
        };
        Some(Next::Wait(Some(wake)))
    }

    /// A missing packet came so long after it was missed.
    fn learn(&mut self, took: Duration) {
        if took > OUT_OF_ORDER {
            self.repair = took.max((self.repair * 15 + took) / 16);
        }
    }

    fn request(&mut self, now: Monotonic, rtt: Duration) -> Next {
        // Shorter, and the second request would leave before the first one's key frame could be here.
        let pause = (rtt * 2).clamp(Duration::from_millis(300), Duration::from_secs(1));
        match self.last_request {
            Some(last) if now.since(last) < pause => Next::Wait(Some(last + pause)),
            _ => {
                self.last_request = Some(now);
                self.counters.requests += 1;
                Next::RequestKeyFrame
            }
        }
    }

    /// VP8 numbers its frames: when the next one follows the last, what is missing between them was no frame.
    fn only_padding_is_missing(&self) -> bool {
        let next = self.slots.iter().flatten().find(|slot| !slot.payload.is_empty());
        match (self.last_picture_id, next) {
            (Some(last), Some(Slot { begins: true, picture_id: Some(next), .. })) => vp8::follows(last, *next),
            _ => false,
        }
    }

    fn frame_at(&self, start: usize) -> Extent {
        let mut timestamp = None;
        for (index, slot) in self.slots.iter().enumerate().skip(start) {
            let Some(slot) = slot else {
                let more = self.slots.iter().skip(index).any(Option::is_some);
                return if more { Extent::Hole(index) } else { Extent::Open };
            };
            if slot.payload.is_empty() {
                continue;
            }
            if timestamp.is_some_and(|timestamp| timestamp != slot.timestamp) {
                return Extent::Complete(index - start);
            }
            timestamp = Some(slot.timestamp);
            if slot.marker {
                return Extent::Complete(index + 1 - start);
            }
        }
        Extent::Open
    }

    fn release(&mut self, length: usize, unit: &mut Vec<u8>) -> Option<Frame> {
        unit.clear();
        let codec = self.codec?;
        let mut assembler = h264::H264Assembler::default();
        let (mut intact, mut first, mut idr) = (true, true, false);
        let (mut first_arrived, mut completed) = (None::<Monotonic>, Monotonic::default());
        let (mut timestamp, mut key, mut picture_id) = (0, false, None);
        for slot in self.slots.drain(..length).flatten() {
            if slot.payload.is_empty() {
                continue;
            }
            if first {
                (timestamp, key, picture_id) = (slot.timestamp, slot.key, slot.picture_id);
                intact &= codec == VideoCodec::H264 || slot.begins;
            } else {
                intact &= codec == VideoCodec::H264 || !slot.begins;
            }
            first = false;
            intact &= !slot.damaged;
            first_arrived = Some(first_arrived.map_or(slot.arrived, |at| at.min(slot.arrived)));
            completed = completed.max(slot.arrived);
            match codec {
                VideoCodec::H264 => {
                    intact &= assembler.push(&slot.payload, unit).is_ok();
                    idr |= h264::glance(&slot.payload).idr;
                }
                VideoCodec::Vp8 => unit.extend_from_slice(&slot.payload[slot.header..]),
            }
        }
        self.base += length as i64;
        intact &= codec == VideoCodec::Vp8 || assembler.finish().is_ok();
        if !intact || unit.is_empty() {
            self.decoder_failed();
            return None;
        }
        self.last_picture_id = picture_id;
        self.counters.released += 1;
        let key = key || idr;
        Some(Frame { codec, key, timestamp, first_arrived: first_arrived.unwrap_or(completed), completed })
    }

    fn lose_track(&mut self) {
        self.state = State::Searching;
        self.last_picture_id = None;
    }

    fn drop_slots(&mut self, count: usize) {
        let count = count.min(self.slots.len());
        for slot in self.slots.drain(..count).flatten() {
            if self.last_dropped != Some(slot.timestamp) && !slot.payload.is_empty() {
                self.last_dropped = Some(slot.timestamp);
                self.counters.withheld += u64::from(self.counters.released > 0);
            }
        }
        self.base += count as i64;
    }

    fn restart(&mut self) {
        self.drop_slots(self.slots.len());
        self.lose_track();
        self.sequences.reset();
        self.skipped = None;
        self.stray = None;
    }

    fn near(&self, sequence: u16) -> i64 {
        let mut sequences = self.sequences;
        sequences.sequence(sequence)
    }
}

enum Extent {
    /// A whole frame of so many slots.
    Complete(usize),
    /// The rest of the frame has not come yet, and nothing after it.
    Open,
    /// The slot of this index is missing, and something after it is not.
    Hole(usize),
}

impl Slot {
    fn new(packet: VideoPacket) -> Self {
        let mut slot = Self {
            arrived: packet.arrived,
            timestamp: packet.timestamp,
            marker: packet.marker,
            payload: packet.payload,
            header: 0,
            begins: false,
            key: false,
            picture_id: None,
            damaged: false,
        };
        match packet.codec {
            VideoCodec::H264 => {
                let seen = h264::glance(&slot.payload);
                slot.begins = seen.begins_unit;
                slot.key = seen.parameters;
            }
            VideoCodec::Vp8 => match vp8::descriptor(&slot.payload) {
                Ok(descriptor) => {
                    slot.header = descriptor.length;
                    slot.begins = descriptor.begins_frame;
                    slot.key = descriptor.key;
                    slot.picture_id = descriptor.picture_id;
                }
                Err(_) => slot.damaged = !slot.payload.is_empty(),
            },
        }
        slot
    }
}
