//! Voice packets to the mixer.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::end_to_end::EndToEnd;
use super::pauses::Pauses;
use super::{AudioPlayStatistics, RtpIn};
use crate::audio::Frame;
use crate::clock::Monotonic;
use crate::media::codec::CodecError;
use crate::media::jitter::voice::{Pulled, VoiceBuffer, VoicePacket};
use crate::media::meter::SoundMeter;
use crate::media::mixer;
use crate::media::playback::{Playback, Voice};
use crate::media::record::{RecordSink, RemoteAudioTap, SenderClock};
use crate::media::sync::LipSync;
use crate::media::{FirstFrame, MediaEvent, MediaEvents};
use crate::rtc::{self, IncomingRtp, Mime, RtpSink, SenderReport};

/// Longer than this without sound is a break, after the 60 ms (three packets) that the decoder guesses.
const BREAK: Duration = Duration::from_millis(200);
/// How often the connection's statistics are read.
const REFRESH: Duration = Duration::from_millis(500);

/// Plays a voice until it is dropped.
///
/// It has no thread: packets are decoded when the speaker's thread wants their sound.
pub struct AudioPlay {
    shared: Arc<Shared>,
    playback: Playback,
    voice: Arc<dyn Voice>,
}

struct Shared {
    source: Box<dyn RtpIn>,
    sync: LipSync,
    events: MediaEvents,
    state: Mutex<State>,
    volume: AtomicI32,
    /// Where the packets go, too.
    tap: Mutex<Option<Arc<RemoteAudioTap>>>,
    meter: SoundMeter,
}

struct State {
    buffer: VoiceBuffer,
    pauses: Pauses,
    end_to_end: EndToEnd,
    decode_time: Duration,
    report: Option<SenderReport>,
    refreshed: Option<Monotonic>,
}

impl AudioPlay {
    /// Adds the voice to the speaker; `meter` shows its level as it was received, whatever its volume.
    ///
    /// # Errors
    /// [`CodecError::Create`].
    pub fn start(
        receiver: rtc::MediaReceiver,
        playback: &Playback,
        sync: &LipSync,
        meter: SoundMeter,
        events: MediaEvents,
    ) -> Result<Self, CodecError> {
        Self::start_from(Box::new(receiver), playback, sync, meter, events)
    }

    pub(super) fn start_from(
        source: Box<dyn RtpIn>,
        playback: &Playback,
        sync: &LipSync,
        meter: SoundMeter,
        events: MediaEvents,
    ) -> Result<Self, CodecError> {
        let state = State {
            buffer: VoiceBuffer::new()?,
            pauses: Pauses::new(BREAK),
            end_to_end: EndToEnd::new(Mime::Opus.clock_rate()),
            decode_time: Duration::ZERO,
            report: None,
            refreshed: None,
        };
        let shared = Arc::new(Shared {
            source,
            sync: sync.clone(),
            events,
            state: Mutex::new(state),
            volume: AtomicI32::new(mixer::factor(100)),
            tap: Mutex::default(),
            meter,
        });
        shared.source.attach(Arc::clone(&shared) as Arc<dyn RtpSink>);
        let voice: Arc<dyn Voice> = Arc::clone(&shared) as Arc<dyn Voice>;
        playback.add(Arc::clone(&voice));
        Ok(Self { shared, playback: playback.clone(), voice })
    }

    /// Volume of this voice, 0 to 200, 100 = as it is.
    pub fn set_volume(&self, percent: u8) {
        self.shared.volume.store(mixer::factor(percent), Ordering::Relaxed);
    }

    /// The sender is muted, or not any more: it may send nothing, which is no break.
    pub fn rest(&self, resting: bool) {
        let ended = self.shared.state().pauses.rest(resting, Monotonic::now());
        if ended {
            (self.shared.events)(MediaEvent::AudioBreak(false));
        }
    }

    /// Gives the packets to a recording, too; or to none.
    pub fn record(&self, target: Option<(&RecordSink, &SenderClock)>) {
        let mut tap = self.shared.tap.lock().unwrap_or_else(PoisonError::into_inner);
        match target {
            Some((sink, _)) if tap.as_ref().is_some_and(|tap| tap.sink().is(sink)) => {}
            target => *tap = target.map(|(sink, clock)| Arc::new(RemoteAudioTap::new(sink.clone(), clock.clone()))),
        }
    }

    /// Counters.
    #[must_use]
    pub fn statistics(&self) -> AudioPlayStatistics {
        let rtp = self.shared.source.statistics();
        let now = Monotonic::now();
        let state = self.shared.state();
        let counters = state.buffer.counters();
        let (breaks, break_time) = state.pauses.counts(now);
        AudioPlayStatistics {
            received: counters.received,
            taken: counters.taken,
            decoded: counters.decoded,
            late: counters.late,
            repaired: counters.repaired,
            concealed: counters.concealed,
            adjusted: counters.adjusted,
            played: counters.played,
            breaks,
            break_time,
            playing: state.pauses.playing(now),
            decode_time: state.decode_time,
            buffer_delay: state.buffer.waiting(),
            target_delay: state.buffer.target(),
            end_to_end: state.end_to_end.delay(now),
            rtp,
        }
    }
}

impl Drop for AudioPlay {
    fn drop(&mut self) {
        self.shared.source.detach();
        self.playback.remove(&self.voice);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RtpSink for Shared {
    fn receive(&self, packet: IncomingRtp) {
        if packet.mime != Mime::Opus {
            return;
        }
        let IncomingRtp { arrived, timestamp, payload, captured_at, .. } = packet;
        let tap = self.tap.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut state = self.state();
        if let Some(tap) = tap {
            tap.packet(&payload, timestamp, arrived, state.report);
        }
        if let Some(captured_at) = captured_at {
            state.end_to_end.captured(timestamp, captured_at);
        }
        let first = state.buffer.counters().received == 0;
        state.buffer.insert(VoicePacket { arrived, timestamp, payload });
        drop(state);
        if first {
            (self.events)(MediaEvent::FirstFrame(FirstFrame::AudioReceived));
        }
    }
}

impl Voice for Shared {
    fn pull(&self, now: Monotonic, heard_at: Monotonic, frame: &mut Frame) -> Option<i32> {
        // Asked outside the lock: the connection may be handing us a packet.
        let refresh = self.state().refreshed.is_none_or(|last| now.since(last) >= REFRESH);
        let report = refresh.then(|| self.source.statistics().sender_report);
        let mut guard = self.state();
        let state = &mut *guard;
        if let Some(report) = report {
            state.report = report;
            state.refreshed = Some(now);
            // Only what synchronisation adds to the delay that jitter asks for anyway.
            state.buffer.set_hold(self.sync.hold_sound());
        }
        // The buffer decodes when it is asked for sound, and does little else then.
        let start = Monotonic::now();
        let pulled = state.buffer.pull(now, frame);
        state.decode_time += Monotonic::now().since(start);
        self.meter.add(frame, now);
        let (begins, ends) = match pulled {
            Pulled::Sound(timestamp) => {
                if let Some(report) = &state.report {
                    self.sync.sound_heard(report, timestamp, heard_at);
                }
                state.end_to_end.presented(timestamp, heard_at);
                // A speaker that asked for nothing so long has not noticed the break.
                let begins = state.pauses.check(now);
                (begins, state.pauses.played(now))
            }
            Pulled::Silence => (state.pauses.check(now), false),
        };
        drop(guard);
        if begins {
            (self.events)(MediaEvent::AudioBreak(true));
        }
        if ends {
            (self.events)(MediaEvent::AudioBreak(false));
        }
        matches!(pulled, Pulled::Sound(_)).then(|| self.volume.load(Ordering::Relaxed))
    }
}
