//! Microphone sound to Opus packets.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;

use super::{AudioConfig, AudioSendStatistics, NoNetwork, RtpClock, RtpOut, deafen};
use crate::audio::{Channels, FRAME_SAMPLES, Frame};
use crate::clock::Monotonic;
use crate::media::codec::{CodecError, OpusEncoder, OpusSettings, PACKET_SAMPLES as PACKET};
use crate::media::microphone::{MicrophoneCapture, SoundOutlet};
use crate::media::record::RecordSink;
use crate::media::{FirstFrame, MediaEvent, MediaEvents, mixer};
use crate::rtc::{self, OutgoingRtp, SendOutcome, SenderFeedback};

/// Sound and its timestamps may drift apart this far before the timestamps jump.
const DRIFT: Duration = Duration::from_millis(80);

/// Sends a microphone's sound until it is dropped.
///
/// It has no thread: 20 ms are encoded in a fraction of a millisecond, on the microphone's thread.
pub struct AudioSend {
    shared: Arc<Shared>,
    microphone: MicrophoneCapture,
    outlet: Arc<dyn SoundOutlet>,
}

struct Shared {
    out: Box<dyn RtpOut>,
    events: MediaEvents,
    state: Mutex<State>,
    muted: AtomicBool,
    volume: AtomicI32,
    captured: AtomicU64,
    sent: AtomicU64,
    /// Where the packets go, too.
    tap: Mutex<Option<RecordSink>>,
}

struct State {
    encoder: OpusEncoder,
    channels: Channels,
    /// Of the channels in turn; the rest of mono is not used.
    samples: [i16; 2 * PACKET],
    /// Samples of each channel of the next packet that are there, and when the first of them was captured.
    filled: usize,
    captured_at: Monotonic,
    clock: RtpClock,
    /// Timestamp of the next packet, if one was sent before it.
    next: Option<u32>,
    buffer: BytesMut,
}

impl AudioSend {
    /// Starts sending as soon as `sender` is ready.
    ///
    /// # Errors
    /// [`CodecError::Create`].
    pub fn start(
        microphone: &MicrophoneCapture,
        config: AudioConfig,
        sender: rtc::MediaSender,
        events: MediaEvents,
    ) -> Result<Self, CodecError> {
        Self::start_to(microphone, config, Box::new(sender), events)
    }

    /// Encodes for recordings alone.
    ///
    /// # Errors
    /// [`CodecError::Create`].
    pub fn start_unsent(microphone: &MicrophoneCapture, config: AudioConfig) -> Result<Self, CodecError> {
        Self::start_to(microphone, config, Box::new(NoNetwork), Arc::new(|_| {}))
    }

    pub(in crate::media) fn start_to(
        microphone: &MicrophoneCapture,
        config: AudioConfig,
        out: Box<dyn RtpOut>,
        events: MediaEvents,
    ) -> Result<Self, CodecError> {
        let state = State::new(config, RtpClock::new(48_000))?;
        let shared = Arc::new(Shared {
            out,
            events,
            state: Mutex::new(state),
            muted: AtomicBool::new(false),
            volume: AtomicI32::new(mixer::factor(100)),
            captured: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            tap: Mutex::default(),
        });
        let listener = Arc::downgrade(&shared);
        shared.out.on_feedback(Arc::new(move |feedback| {
            if let (Some(shared), SenderFeedback::ReceiverReport { fraction_lost, .. }) = (listener.upgrade(), feedback)
            {
                shared.state().encoder.set_expected_loss(fraction_lost);
            }
        }));
        let outlet: Arc<dyn SoundOutlet> = Arc::clone(&shared) as Arc<dyn SoundOutlet>;
        microphone.add_outlet(Arc::clone(&outlet));
        Ok(Self { shared, microphone: microphone.clone(), outlet })
    }

    /// Sends silence (`true`), or the sound.
    pub fn set_muted(&self, muted: bool) {
        self.shared.muted.store(muted, Ordering::Relaxed);
    }

    /// Volume of the sent sound, 0 to 200, 100 = as it is.
    pub fn set_volume(&self, percent: u8) {
        self.shared.volume.store(mixer::factor(percent), Ordering::Relaxed);
    }

    /// Gives what is encoded to a recording, too, whether the network takes anything or not; or to none.
    pub fn record(&self, sink: Option<&RecordSink>) {
        *self.shared.tap.lock().unwrap_or_else(PoisonError::into_inner) = sink.cloned();
    }

    /// Changes the bit rate. The channels stay.
    pub fn set_config(&self, config: AudioConfig) {
        self.shared.state().encoder.set_bit_rate(config.bitrate_kbps.saturating_mul(1000));
    }

    /// Counters.
    #[must_use]
    pub fn statistics(&self) -> AudioSendStatistics {
        AudioSendStatistics {
            captured: self.shared.captured.load(Ordering::Relaxed),
            sent: self.shared.sent.load(Ordering::Relaxed),
            rtp: self.shared.out.statistics(),
        }
    }
}

impl Drop for AudioSend {
    fn drop(&mut self) {
        self.microphone.remove_outlet(&self.outlet);
        deafen(&*self.shared.out);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The recording, while it takes something.
    fn tap(&self) -> Option<RecordSink> {
        self.tap.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(RecordSink::is_open)
    }
}

impl SoundOutlet for Shared {
    fn sound(&self, frame: &Frame, captured_at: Monotonic) {
        if self.captured.fetch_add(1, Ordering::Relaxed) == 0 {
            (self.events)(MediaEvent::FirstFrame(FirstFrame::AudioCaptured));
        }
        let tap = self.tap();
        let ready = self.out.ready();
        let mut guard = self.state();
        let state = &mut *guard;
        if !ready && tap.is_none() {
            state.filled = 0;
            return;
        }
        if state.filled == 0 {
            state.captured_at = captured_at;
        }
        let volume = (!self.muted.load(Ordering::Relaxed)).then(|| self.volume.load(Ordering::Relaxed));
        state.fill(frame, volume);
        if state.filled < PACKET {
            return;
        }
        state.filled = 0;
        let Some((packet, at)) = state.packet() else { return };
        drop(guard);
        if let Some(tap) = tap {
            tap.audio(at, &packet.payload, PACKET as u32);
        }
        if ready && self.out.send(packet) == SendOutcome::Queued && self.sent.fetch_add(1, Ordering::Relaxed) == 0 {
            (self.events)(MediaEvent::FirstFrame(FirstFrame::AudioSent));
        }
    }
}

impl State {
    fn new(config: AudioConfig, clock: RtpClock) -> Result<Self, CodecError> {
        let bits_per_second = config.bitrate_kbps.saturating_mul(1000);
        Ok(Self {
            encoder: OpusEncoder::new(OpusSettings { bits_per_second, channels: config.channels })?,
            channels: config.channels,
            samples: [0; 2 * PACKET],
            filled: 0,
            captured_at: Monotonic::default(),
            clock,
            next: None,
            buffer: BytesMut::new(),
        })
    }

    /// Adds 10 ms at this volume (1/256); none = silence.
    fn fill(&mut self, frame: &Frame, volume: Option<i32>) {
        let width = self.channels.count();
        let place = &mut self.samples[self.filled * width..(self.filled + FRAME_SAMPLES) * width];
        match volume {
            Some(volume) => {
                frame.write_as(self.channels, place);
                mixer::scale(place, volume);
            }
            None => place.fill(0),
        }
        self.filled += FRAME_SAMPLES;
    }

    /// Encodes the 20 ms that are there. Also returns the moment that the timestamp stands for.
    fn packet(&mut self) -> Option<(OutgoingRtp, Monotonic)> {
        // The device's own count of samples is steadier than the clock, unless it stopped in between.
        let by_clock = self.clock.at(self.captured_at);
        let drift = self.next.map(|next| i64::from(by_clock.wrapping_sub(next) as i32).unsigned_abs() * 1000 / 48);
        let timestamp = match (self.next, drift) {
            (Some(next), Some(micros)) if u128::from(micros) < DRIFT.as_micros() => next,
            _ => by_clock,
        };
        let marker = self.next != Some(timestamp);
        self.next = Some(timestamp.wrapping_add(PACKET as u32));
        self.buffer.resize(1500, 0);
        let samples = &self.samples[..PACKET * self.channels.count()];
        let length = match self.encoder.encode(samples, &mut self.buffer) {
            Ok(length) => length,
            Err(error) => {
                log::warn!("sound was not encoded: {error}");
                return None;
            }
        };
        let payload = self.buffer.split_to(length).freeze();
        let audio_level = Some(mixer::audio_level(samples));
        let ahead = i64::from(timestamp.wrapping_sub(by_clock) as i32);
        let time = Duration::from_nanos(ahead.unsigned_abs() * 1_000_000 / 48);
        let at = if ahead < 0 { self.captured_at - time } else { self.captured_at + time };
        Some((OutgoingRtp { marker, timestamp, captured_at: self.captured_at, audio_level, payload }, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::OpusDecoder;

    fn state(channels: Channels) -> State {
        let clock = RtpClock { rate: 48_000, offset: u32::MAX - 48_000 };
        State::new(AudioConfig { bitrate_kbps: 32, channels }, clock).expect("encoder")
    }

    #[test]
    fn timestamps_count_samples_and_jump_only_after_a_stop() {
        let mut state = state(Channels::Mono);
        let mut at = |millis: u64, micros: u64| {
            state.captured_at = Monotonic::from_nanos(millis * 1_000_000 + micros * 1000);
            let (packet, moment) = state.packet().expect("packet");
            let ticks = packet.timestamp.wrapping_sub(u32::MAX - 48_000);
            assert!(moment.as_nanos().abs_diff(u64::from(ticks) * 1_000_000 / 48) < 50_000, "{moment:?} {ticks}");
            (packet.timestamp.wrapping_sub(u32::MAX - 48_000), packet.marker)
        };
        assert_eq!(at(1000, 0), (48_000, true));
        assert_eq!(at(1023, 700), (48_960, false), "the scheduler's jitter is not the sound's");
        assert_eq!(at(1040, 0), (49_920, false));
        assert_eq!(at(1560, 0), (74_880, true), "half a second was not captured");
    }

    #[test]
    fn packets_are_opus_of_20_ms_with_their_level() {
        let mut state = state(Channels::Mono);
        state.samples.fill(i16::MAX / 10);
        let (packet, _) = state.packet().expect("packet");
        assert_eq!(OpusDecoder::samples(&packet.payload), Some(960));
        assert_eq!(packet.audio_level, Some(20));
    }

    #[test]
    fn a_packet_has_the_channels_that_were_asked_for_whatever_the_microphone_has() {
        for (channels, frame, samples) in [
            (Channels::Mono, Frame::sides(100, 300), [200, 200]),
            (Channels::Mono, Frame::level(7), [7, 7]),
            (Channels::Stereo, Frame::level(7), [7, 7]),
            (Channels::Stereo, Frame::sides(100, 300), [100, 300]),
        ] {
            let mut state = state(channels);
            state.fill(&frame, Some(mixer::factor(100)));
            state.fill(&frame, Some(mixer::factor(200)));
            assert_eq!(state.samples[..2], samples);
            assert_eq!(state.samples[PACKET * channels.count() - 2..][..2], samples.map(|sample| 2 * sample));
            assert_eq!(state.filled, PACKET);
            let (packet, _) = state.packet().expect("packet");
            assert_eq!(OpusDecoder::samples(&packet.payload), Some(960));
        }
        let mut silent = state(Channels::Stereo);
        silent.samples.fill(9);
        (0..2).for_each(|_| silent.fill(&Frame::sides(100, 300), None));
        assert_eq!(silent.samples, [0; 2 * PACKET]);
    }
}
