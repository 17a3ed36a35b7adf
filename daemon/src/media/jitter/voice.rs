//! The audio jitter buffer: packets in, 10 ms of sound out whenever the speaker wants them.
//!
//! The delay follows the measured jitter. What is lost is repaired from the next packet (Opus in-band forward error correction), what
//! is late is bridged by the decoder's concealment and played when it comes: then the delay has grown by the bridge. Surplus delay is
//! taken back one pitch period at a time.
//!
//! A voice is mono until its first packet with two channels, and stereo from then on: a sender may change with every packet, and a
//! decoder that changed with it would click. Samples are counted per channel.
//!
//! A sender may stop sending while it is silent (discontinuous transmission, RFC 7587 section 3.1.3). It says so by a packet with hardly
//! more than its header. What follows is neither lost nor late: the decoder makes its background noise until the next packet.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::delay::DelayEstimator;
use super::sequence::Unwrapper;
use super::stretch;
use crate::audio::{Channels, FRAME_SAMPLES, Frame};
use crate::clock::Monotonic;
use crate::media::codec::{CodecError, OpusDecoder};

/// Sound that is bridged at most before the voice counts as stopped: 60 ms.
const LONGEST_BRIDGE: usize = 2_880;
/// A packet of at most so many bytes says that the sender stops for a while: it holds no sound.
const LONGEST_PAUSE_MARK: usize = 2;
/// Background noise that is made at most before a sender that stopped for a while counts as gone: 1 s. Encoders send a packet
/// every 400 ms meanwhile.
const LONGEST_PAUSE: usize = 48_000;
/// Delay above the target at which a period is left out, and below it at which one is repeated, in microseconds.
const SURPLUS: i64 = 11_000;
/// Delay above the target at which whole packets are left out.
const GROSS_SURPLUS: i64 = 150_000;
/// Least time between two corrections.
const BETWEEN_CORRECTIONS: Duration = Duration::from_millis(60);
/// A timestamp this far from what is played belongs to another stream: 10 s.
const FAR: i64 = 480_000;

/// A packet as it came from the network.
#[derive(Clone, Debug)]
pub struct VoicePacket {
    /// When it arrived.
    pub arrived: Monotonic,
    /// RTP timestamp, 48 kHz.
    pub timestamp: u32,
    /// The Opus packet.
    pub payload: Bytes,
}

/// Counters of the buffer; sound in samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoiceCounters {
    /// Packets taken.
    pub received: u64,
    /// Packets that left the buffer to be decoded.
    pub taken: u64,
    /// Packets decoded.
    pub decoded: u64,
    /// Packets that came after their time, more than once, or were left out to catch up.
    pub late: u64,
    /// Samples repaired by forward error correction.
    pub repaired: u64,
    /// Samples that the decoder guessed; the background noise of a sender that stopped for a while is none.
    pub concealed: u64,
    /// Samples left out or repeated to correct the delay.
    pub adjusted: u64,
    /// Samples of sound given out.
    pub played: u64,
}

/// What a pull was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Sound; its first sample has this RTP timestamp.
    Sound(u32),
    /// Silence: nothing to play yet, or no more.
    Silence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Packets are collected until the first one has waited for its target.
    Filling,
    /// Sound goes out.
    Playing,
}

struct Packet {
    samples: usize,
    payload: Bytes,
}

/// Decoded sound that was not given out.
#[derive(Default)]
struct Ready {
    channels: Channels,
    /// Of the channels in turn; what lies before `start` was given out.
    sound: Vec<i16>,
    start: usize,
}

impl Ready {
    fn samples(&self) -> usize {
        (self.sound.len() - self.start) / self.channels.count()
    }

    /// Gives out 10 ms, which are there.
    fn take(&mut self, frame: &mut Frame) {
        let samples = frame.reshape(self.channels);
        samples.copy_from_slice(&self.sound[self.start..self.start + samples.len()]);
        self.start += samples.len();
        if self.start == self.sound.len() {
            self.clear();
        }
    }

    /// Lets the sound begin at the beginning.
    fn compact(&mut self) {
        self.sound.drain(..self.start);
        self.start = 0;
    }

    fn clear(&mut self) {
        self.sound.clear();
        self.start = 0;
    }

    /// What is there in mono is on both sides from now on.
    fn widen(&mut self) {
        self.compact();
        self.channels = Channels::Stereo;
        self.sound = self.sound.iter().flat_map(|&sample| [sample; 2]).collect();
    }
}

/// The buffer of one voice. See the module's documentation.
pub struct VoiceBuffer {
    decoder: OpusDecoder,
    state: State,
    timestamps: Unwrapper,
    packets: BTreeMap<i64, Packet>,
    /// Timestamp of the next sample to be decoded.
    next: i64,
    /// Samples given out in place of sound at `next` that may still come.
    bridge: usize,
    /// The last packet said that the sender stops for a while.
    paused: bool,
    ready: Ready,
    delay: DelayEstimator,
    hold: Duration,
    corrected: Monotonic,
    counters: VoiceCounters,
}

impl VoiceBuffer {
    /// An empty buffer.
    ///
    /// # Errors
    /// [`CodecError::Create`].
    pub fn new() -> Result<Self, CodecError> {
        Ok(Self {
            decoder: OpusDecoder::new(Channels::Mono)?,
            state: State::Filling,
            timestamps: Unwrapper::NEW,
            packets: BTreeMap::new(),
            next: 0,
            bridge: 0,
            paused: false,
            ready: Ready::default(),
            delay: DelayEstimator::default(),
            hold: Duration::ZERO,
            corrected: Monotonic::default(),
            counters: VoiceCounters::default(),
        })
    }

    /// Counters.
    #[must_use]
    pub const fn counters(&self) -> VoiceCounters {
        self.counters
    }

    /// Delay that the buffer aims at.
    #[must_use]
    pub fn target(&self) -> Duration {
        self.delay.target_duration() + self.hold
    }

    /// Sound that waits to be played, from the next sample to the end of the newest packet.
    #[must_use]
    pub fn waiting(&self) -> Duration {
        let newest = self.packets.last_key_value().map_or(0, |(&timestamp, packet)| timestamp + packet.samples as i64);
        let first = match self.state {
            State::Playing => self.next,
            State::Filling => self.packets.first_key_value().map_or(newest, |(&timestamp, _)| timestamp),
        };
        let samples = u64::try_from(newest - first).unwrap_or(0) + self.ready.samples() as u64;
        Duration::from_micros(samples * 1000 / 48)
    }

    /// Delays the voice by this much more than jitter asks for, for synchronisation with its picture.
    pub const fn set_hold(&mut self, hold: Duration) {
        self.hold = hold;
    }

    /// Takes a packet.
    pub fn insert(&mut self, packet: VoicePacket) {
        self.counters.received += 1;
        let Some(samples) = OpusDecoder::samples(&packet.payload) else { return };
        let mut timestamp = self.timestamps.timestamp(packet.timestamp);
        if self.next != 0 && (timestamp - self.next).abs() > FAR {
            self.restart();
            timestamp = self.timestamps.timestamp(packet.timestamp);
        }
        self.delay.arrived(packet.arrived, timestamp);
        if timestamp < self.next || self.packets.contains_key(&timestamp) {
            self.counters.late += 1;
            return;
        }
        self.packets.insert(timestamp, Packet { samples, payload: packet.payload });
    }

    /// Fills the next 10 ms, of as many channels as the voice has, which sound at about `now`.
    pub fn pull(&mut self, now: Monotonic, frame: &mut Frame) -> Pulled {
        if self.state == State::Filling && !self.begin(now) {
            frame.reshape(Channels::Mono).fill(0);
            return Pulled::Silence;
        }
        self.correct(now);
        while self.ready.samples() < FRAME_SAMPLES {
            if !self.step() {
                self.stop();
                frame.reshape(Channels::Mono).fill(0);
                return Pulled::Silence;
            }
        }
        let position = self.next - self.ready.samples() as i64 + self.bridge as i64;
        self.ready.take(frame);
        self.counters.played += FRAME_SAMPLES as u64;
        Pulled::Sound(position as u32)
    }

    /// Whether the first packet has waited long enough.
    fn begin(&mut self, now: Monotonic) -> bool {
        let Some((&first, _)) = self.packets.first_key_value() else { return false };
        if self.delay.delay(now, first) < self.aim() {
            return false;
        }
        self.next = first;
        self.bridge = 0;
        self.state = State::Playing;
        true
    }

    /// Decodes, repairs or bridges something; `false` when the voice has stopped.
    fn step(&mut self) -> bool {
        // What begins inside of what was decoded is a broken sender's, or a hostile one's: its time is over.
        while let Some(overlapping) = self.packets.first_entry().filter(|first| *first.key() < self.next) {
            overlapping.remove();
            self.counters.late += 1;
        }
        if let Some(packet) = self.packets.remove(&self.next) {
            self.bridge = 0;
            self.delay.lost(false);
            self.next += packet.samples as i64;
            self.counters.taken += 1;
            self.paused = packet.payload.len() <= LONGEST_PAUSE_MARK;
            self.widen_for(&packet.payload);
            if self.decoder.decode(&packet.payload, &mut self.ready.sound).is_err() {
                return self.conceal(packet.samples);
            }
            self.counters.decoded += 1;
            return true;
        }
        let Some((&later, packet)) = self.packets.first_key_value() else {
            // Late or lost, nobody knows yet.
            let longest = if self.paused { LONGEST_PAUSE } else { LONGEST_BRIDGE };
            let bridging = self.bridge < longest && self.conceal(FRAME_SAMPLES);
            self.bridge += FRAME_SAMPLES;
            return bridging;
        };
        let missing = usize::try_from(later - self.next).unwrap_or(0);
        let bridged = missing.min(self.bridge);
        self.bridge = 0;
        self.next += bridged as i64;
        let missing = missing - bridged;
        if self.paused {
            // Nothing was sent: there is nothing to repair, and the network lost nothing.
            let noise = missing.min(FRAME_SAMPLES);
            self.next += noise as i64;
            return noise == 0 || self.conceal(noise);
        }
        if missing == 0 {
            self.delay.lost(true);
            return true;
        }
        if missing > packet.samples {
            // Several are lost: guess all but the last of them, a little at a time, and give up on very long ones.
            let guess = (missing - packet.samples).min(FRAME_SAMPLES);
            if missing > LONGEST_BRIDGE + packet.samples {
                self.next = later - (packet.samples as i64).min(later - self.next);
                return true;
            }
            self.next += guess as i64;
            self.delay.lost(true);
            return self.conceal(guess);
        }
        self.delay.lost(true);
        let (payload, samples) = (packet.payload.clone(), packet.samples);
        self.next = later;
        self.widen_for(&payload);
        let (before, width) = (self.ready.sound.len(), self.ready.channels.count());
        match self.decoder.repair(&payload, samples, &mut self.ready.sound) {
            Ok(()) => {
                // The bridge took the beginning's place already.
                self.ready.sound.drain(before..before + (samples - missing) * width);
                self.counters.repaired += missing as u64;
                true
            }
            Err(_) => self.conceal(missing),
        }
    }

    fn conceal(&mut self, samples: usize) -> bool {
        if !self.paused {
            self.counters.concealed += samples as u64;
        }
        // The decoder guesses in steps of 2.5 ms; an odd rest can only come from a broken sender.
        let whole = samples.div_ceil(120) * 120;
        let end = self.ready.sound.len() + samples * self.ready.channels.count();
        if self.decoder.conceal(whole, &mut self.ready.sound).is_err() {
            self.ready.sound.resize(end, 0);
        }
        self.ready.sound.truncate(end);
        true
    }

    /// Goes on in stereo when this packet has two channels.
    fn widen_for(&mut self, packet: &[u8]) {
        if OpusDecoder::channels_of(packet) <= self.decoder.channels() {
            return;
        }
        match OpusDecoder::new(Channels::Stereo) {
            Ok(decoder) => {
                self.decoder = decoder;
                self.ready.widen();
            }
            // The old one mixes down.
            Err(error) => log::warn!("a voice stays mono: {error}"),
        }
    }

    /// Brings the delay nearer to the target.
    fn correct(&mut self, now: Monotonic) {
        if self.bridge > 0 || !self.packets.contains_key(&self.next) {
            return;
        }
        let waiting = self.ready.samples() as i64;
        let surplus = self.delay.delay(now, self.next - waiting) - self.aim();
        if surplus > GROSS_SURPLUS {
            // After a stall: what waits is history.
            let goal = self.next + (surplus * 48 / 1000) / 960 * 960;
            while let Some((&timestamp, packet)) = self.packets.first_key_value() {
                if timestamp >= goal || self.packets.len() < 2 {
                    break;
                }
                self.next = timestamp + packet.samples as i64;
                self.counters.late += 1;
                self.packets.pop_first();
            }
            return;
        }
        if now.since(self.corrected) < BETWEEN_CORRECTIONS {
            return;
        }
        let change: fn(&mut Vec<i16>, Channels, bool) -> usize = if surplus > SURPLUS {
            stretch::shorten
        } else if surplus < -SURPLUS && !self.hold.is_zero() {
            // Only synchronisation asks for more delay; jitter's share grows by itself, with the bridges.
            stretch::lengthen
        } else {
            return;
        };
        while self.ready.samples() < stretch::NEEDED.max(FRAME_SAMPLES) && self.packets.contains_key(&self.next) {
            self.step();
        }
        self.ready.compact();
        let changed = change(&mut self.ready.sound, self.ready.channels, surplus > 3 * SURPLUS);
        self.counters.adjusted += changed as u64;
        if changed > 0 {
            self.corrected = now;
        }
    }

    fn aim(&self) -> i64 {
        self.delay.target() + i64::try_from(self.hold.as_micros()).unwrap_or(0)
    }

    fn stop(&mut self) {
        self.state = State::Filling;
        self.bridge = 0;
        self.paused = false;
        self.ready.clear();
    }

    fn restart(&mut self) {
        self.stop();
        self.packets.clear();
        self.next = 0;
        self.timestamps.reset();
        self.delay = DelayEstimator::default();
    }
}
