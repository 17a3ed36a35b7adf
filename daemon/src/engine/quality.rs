//! What is told of a stream every three seconds, from two readings of the counters. A value that cannot be measured is
//! left out. Knows no clock: the time is part of a reading.

use std::time::Duration;

use zego_protocol::state::ZegoStreamQualityLevel as Level;

use super::event::{Quality, QualityValue};
use super::mos::mean_opinion_score;
use crate::clock::Monotonic;
use crate::media::receive::{AudioPlayStatistics, VideoPlayStatistics};
use crate::media::send::{AudioSendStatistics, VideoSendStatistics};
use crate::rtc::Mime;

/// ZEGO's number of H.264.
const CODEC_H264: i32 = 0;
/// ZEGO's number of VP8.
const CODEC_VP8: i32 = 2;

/// Of sound.
const SAMPLES_PER_SECOND: f64 = 48_000.0;
/// Samples of the usual packet of 20 ms, which is what a frame of sound is here.
const PACKET_SAMPLES: f64 = 960.0;

/// The counters of a publisher at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct PublishReading {
    /// When.
    pub(super) at: Monotonic,
    /// Of the pictures, if there are any.
    pub(super) video: Option<VideoSendStatistics>,
    /// Of the sound, if there is any.
    pub(super) audio: Option<AudioSendStatistics>,
}

/// The counters of a player at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlayReading {
    /// When.
    pub(super) at: Monotonic,
    /// To the server and back, for who sends nothing that reports would tell it of.
    pub(super) rtt: Option<Duration>,
    /// Of the pictures, if there are any.
    pub(super) video: Option<VideoPlayStatistics>,
    /// Of the sound, if there is any.
    pub(super) audio: Option<AudioPlayStatistics>,
}

/// Rates between two moments.
struct Rates {
    seconds: f64,
}

impl Rates {
    /// Nothing when no time has passed.
    fn between(before: Monotonic, now: Monotonic) -> Option<Self> {
        let seconds = now.since(before).as_secs_f64();
        (seconds > 0.0).then_some(Self { seconds })
    }

    /// So many per second; a counter that began anew has no rate yet.
    fn per_second(&self, before: u64, now: u64) -> Option<f64> {
        now.checked_sub(before).map(|count| to_f64(count) / self.seconds)
    }

    /// kbit/s of so many bytes.
    fn kbps(&self, before: u64, now: u64) -> Option<f64> {
        self.per_second(before, now).map(|bytes| bytes * 8.0 / 1000.0)
    }
}

/// Collects the values that are there.
#[derive(Default)]
struct Collected(Quality);

impl Collected {
    fn double(&mut self, name: &'static str, value: Option<f64>) {
        self.0.extend(value.map(|value| (name, QualityValue::Double(value))));
    }

    fn int(&mut self, name: &'static str, value: Option<i32>) {
        self.0.extend(value.map(|value| (name, QualityValue::Int(value))));
    }

    fn millis(&mut self, name: &'static str, value: Option<Duration>) {
        self.int(name, value.map(|time| i32::try_from(time.as_millis()).unwrap_or(i32::MAX)));
    }

    fn count(&mut self, name: &'static str, value: u64) {
        self.0.push((name, QualityValue::Count(value)));
    }

    fn flag(&mut self, name: &'static str, value: bool) {
        self.0.push((name, QualityValue::Flag(value)));
    }
}

#[expect(clippy::cast_precision_loss, reason = "counters of one call stay far below 2^52")]
const fn to_f64(count: u64) -> f64 {
    count as f64
}

/// How good a stream is, by its loss and its round trip.
fn level(loss: Option<f64>, rtt: Duration) -> Level {
    let Some(loss) = loss else { return Level::Unknown };
    match (loss, rtt.as_millis()) {
        (loss, _) if loss >= 0.9 => Level::Die,
        (loss, rtt) if loss > 0.2 || rtt > 800 => Level::Bad,
        (loss, rtt) if loss > 0.08 || rtt > 400 => Level::Medium,
        (loss, rtt) if loss > 0.02 || rtt > 150 => Level::Good,
        _ => Level::Excellent,
    }
}

/// ZegoPublishStreamQuality, in snake case.
pub(super) fn publish_quality(before: Option<&PublishReading>, now: &PublishReading) -> Quality {
    let mut out = Collected::default();
    let rates = before.and_then(|before| Rates::between(before.at, now.at).map(|rates| (rates, before)));
    if let (Some((rates, before)), Some(video)) = (&rates, &now.video) {
        let old = before.video.unwrap_or_default();
        out.double("video_capture_fps", rates.per_second(old.captured, video.captured));
        out.double("video_encode_fps", rates.per_second(old.encoded, video.encoded));
        out.double("video_send_fps", rates.per_second(old.sent, video.sent));
        out.double("video_kbps", rates.kbps(old.rtp.bytes, video.rtp.bytes));
    }
    if let (Some((rates, before)), Some(audio)) = (&rates, &now.audio) {
        let old = before.audio.unwrap_or_default();
        out.double("audio_capture_fps", rates.per_second(old.captured, audio.captured));
        out.double("audio_send_fps", rates.per_second(old.sent, audio.sent));
        out.double("audio_kbps", rates.kbps(old.rtp.bytes, audio.rtp.bytes));
    }
    let reports = [now.video.map(|video| video.rtp), now.audio.map(|audio| audio.rtp)];
    let rtt = reports.iter().flatten().find_map(|rtp| rtp.rtt);
    let losses = || reports.iter().flatten().filter_map(|rtp| rtp.fraction_lost).map(f64::from);
    let loss = losses().reduce(f64::max);
    out.millis("rtt", rtt);
    out.double("packet_lost_rate", loss);
    out.int("level", rtt.map(|rtt| level(loss, rtt).number()));
    if let Some(video) = &now.video {
        out.flag("is_hardware_encode", video.encoder.starts_with("v4l2m2m"));
        out.int("video_codec_id", Some(CODEC_H264));
        out.count("video_dropped_frames", video.dropped);
        out.count("video_key_frames", video.key_frames);
        out.double("video_target_kbps", Some(f64::from(video.target_kbps)));
    }
    let (video_bytes, audio_bytes) =
        (now.video.map_or(0, |video| video.rtp.bytes), now.audio.map_or(0, |audio| audio.rtp.bytes));
    out.count("total_send_bytes", video_bytes + audio_bytes);
    out.count("audio_send_bytes", audio_bytes);
    out.count("video_send_bytes", video_bytes);
    out.0
}

/// ZegoPlayStreamQuality, in snake case.
pub(super) fn play_quality(before: Option<&PlayReading>, now: &PlayReading, muted: (bool, bool)) -> Quality {
    let mut out = Collected::default();
    let rates = before.and_then(|before| Rates::between(before.at, now.at).map(|rates| (rates, before)));
    let mut lost = Vec::new();
    let received = [now.video.map(|video| video.rtp), now.audio.map(|audio| audio.rtp)];
    let rtt = received.iter().flatten().find_map(|rtp| rtp.rtt).or(now.rtt);
    if let Some(video) = &now.video {
        if let Some((rates, before)) = &rates {
            let old = before.video.unwrap_or_default();
            out.double("video_recv_fps", rates.per_second(old.arrived, video.arrived));
            out.double("video_dejitter_fps", rates.per_second(old.received, video.received));
            out.double("video_decode_fps", rates.per_second(old.decoded, video.decoded));
            out.double("video_render_fps", rates.per_second(old.shown, video.shown));
            out.double("video_kbps", rates.kbps(old.rtp.bytes, video.rtp.bytes));
            out.double("video_break_rate", break_rate(rates, old.break_time, video.break_time));
            lost.push(loss(&old.rtp, &video.rtp));
        }
        out.millis("video_buffer_delay", video.codec.map(|_| video.buffer_delay));
        out.count("video_cumulative_break_count", video.breaks);
        out.count("video_cumulative_break_time", millis(video.break_time));
        out.double("video_cumulative_break_rate", part(video.break_time, video.playing));
        out.count("video_cumulative_decode_time", millis(video.decode_time));
        out.count("video_withheld_frames", video.withheld);
        out.flag("is_hardware_decode", video.decoder.starts_with("v4l2m2m"));
        out.int(
            "video_codec_id",
            video.codec.and_then(|codec| match codec {
                Mime::H264 => Some(CODEC_H264),
                Mime::Vp8 => Some(CODEC_VP8),
                Mime::Opus => None,
            }),
        );
        out.int("av_timestamp_diff", video.av_offset_ms);
    }
    if let Some(audio) = &now.audio {
        if let Some((rates, before)) = &rates {
            let old = before.audio.unwrap_or_default();
            out.double("audio_recv_fps", rates.per_second(old.received, audio.received));
            out.double("audio_dejitter_fps", rates.per_second(old.taken, audio.taken));
            out.double("audio_decode_fps", rates.per_second(old.decoded, audio.decoded));
            out.double(
                "audio_render_fps",
                rates.per_second(old.played, audio.played).map(|samples| samples / PACKET_SAMPLES),
            );
            out.double("audio_kbps", rates.kbps(old.rtp.bytes, audio.rtp.bytes));
            out.double("audio_break_rate", break_rate(rates, old.break_time, audio.break_time));
            out.double("mos", rtt.and_then(|rtt| score(rates, &old, audio, rtt)));
            lost.push(loss(&old.rtp, &audio.rtp));
        }
        out.millis("audio_buffer_delay", Some(audio.buffer_delay));
        out.count("audio_cumulative_break_count", audio.breaks);
        out.count("audio_cumulative_break_time", millis(audio.break_time));
        out.double("audio_cumulative_break_rate", part(audio.break_time, audio.playing));
        out.count("audio_cumulative_decode_time", millis(audio.decode_time));
    }
    // What is late is as late as the later of the two.
    let delays = [
        now.video.filter(|video| video.codec.is_some()).map(|video| video.buffer_delay),
        now.audio.map(|audio| audio.buffer_delay),
    ];
    out.millis("delay", delays.into_iter().flatten().max());
    let ends = [now.video.and_then(|video| video.end_to_end), now.audio.and_then(|audio| audio.end_to_end)];
    out.millis("peer_to_peer_delay", ends.into_iter().flatten().max());
    let loss = lost.into_iter().flatten().reduce(f64::max);
    out.millis("rtt", rtt);
    out.double("packet_lost_rate", loss);
    out.int("level", rtt.map(|rtt| level(loss, rtt).number()));
    let (video_bytes, audio_bytes) =
        (now.video.map_or(0, |video| video.rtp.bytes), now.audio.map_or(0, |audio| audio.rtp.bytes));
    out.count("total_recv_bytes", video_bytes + audio_bytes);
    out.count("audio_recv_bytes", audio_bytes);
    out.count("video_recv_bytes", video_bytes);
    out.flag("mute_audio", muted.0);
    out.flag("mute_video", muted.1);
    out.0
}

/// The part of a time, 0 to 1; nothing before it has begun.
fn part(time: Duration, of: Duration) -> Option<f64> {
    (!of.is_zero()).then(|| (time.as_secs_f64() / of.as_secs_f64()).min(1.0))
}

/// The mean opinion score of the time between two readings; nothing before the first sound.
fn score(rates: &Rates, before: &AudioPlayStatistics, now: &AudioPlayStatistics, rtt: Duration) -> Option<f64> {
    if now.playing.is_zero() {
        return None;
    }
    let guessed = to_f64(now.concealed.checked_sub(before.concealed)?) / SAMPLES_PER_SECOND;
    let missing = guessed + now.break_time.checked_sub(before.break_time)?.as_secs_f64();
    // One way is half of the round trip; a packet holds 20 ms.
    let way = rtt / 2 + Duration::from_millis(20) + now.buffer_delay;
    Some(mean_opinion_score(missing / rates.seconds, way))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The part of the time that was a break, 0 to 1.
fn break_rate(rates: &Rates, before: Duration, now: Duration) -> Option<f64> {
    now.checked_sub(before).map(|time| (time.as_secs_f64() / rates.seconds).min(1.0))
}

/// The part of the packets that did not arrive between two readings, 0 to 1.
fn loss(before: &crate::rtc::ReceiverStatistics, now: &crate::rtc::ReceiverStatistics) -> Option<f64> {
    let lost = to_f64(now.lost.saturating_sub(before.lost));
    let arrived = to_f64(now.packets.checked_sub(before.packets)?);
    (lost + arrived > 0.0).then(|| lost / (lost + arrived))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::{ReceiverStatistics, SenderStatistics};

    fn value(quality: &Quality, name: &str) -> Option<QualityValue> {
        quality.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    #[test]
    fn rates_come_from_two_readings() {
        let video = |sent, bytes| VideoSendStatistics {
            captured: sent,
            encoded: sent,
            sent,
            encoder: "openh264",
            rtp: SenderStatistics {
                bytes,
                fraction_lost: Some(0.05),
                rtt: Some(Duration::from_millis(20)),
                ..SenderStatistics::default()
            },
            ..VideoSendStatistics::default()
        };
        let reading = |at, sent, bytes| PublishReading {
            at: Monotonic::from_millis(at),
            video: Some(video(sent, bytes)),
            audio: None,
        };
        let first = reading(1000, 10, 1000);
        let quality = publish_quality(None, &first);
        assert_eq!(value(&quality, "video_send_fps"), None, "one reading has no rate");
        assert_eq!(value(&quality, "total_send_bytes"), Some(QualityValue::Count(1000)));
        let quality = publish_quality(Some(&first), &reading(4000, 100, 376_000));
        assert_eq!(value(&quality, "video_send_fps"), Some(QualityValue::Double(30.0)));
        assert_eq!(value(&quality, "video_kbps"), Some(QualityValue::Double(1000.0)));
        assert_eq!(value(&quality, "rtt"), Some(QualityValue::Int(20)));
        assert_eq!(value(&quality, "level"), Some(QualityValue::Int(Level::Good.number())));
        assert_eq!(value(&quality, "audio_kbps"), None, "what is not there is not measured");
        let again = publish_quality(Some(&reading(1000, 100, 1000)), &reading(4000, 5, 10));
        assert_eq!(value(&again, "video_send_fps"), None, "a counter that began anew has no rate");
    }

    #[test]
    fn loss_is_of_the_time_between() {
        let rtp = |packets, lost| ReceiverStatistics { packets, lost, ..ReceiverStatistics::default() };
        let reading = |at, packets, lost| PlayReading {
            at: Monotonic::from_millis(at),
            rtt: None,
            video: None,
            audio: Some(AudioPlayStatistics { rtp: rtp(packets, lost), ..AudioPlayStatistics::default() }),
        };
        let quality = play_quality(Some(&reading(0, 100, 50)), &reading(3000, 190, 60), (false, true));
        assert_eq!(value(&quality, "packet_lost_rate"), Some(QualityValue::Double(0.1)));
        for unknown in ["rtt", "level", "mos"] {
            assert_eq!(value(&quality, unknown), None, "{unknown}");
        }
        assert_eq!(value(&quality, "mute_video"), Some(QualityValue::Flag(true)));
    }

    #[test]
    fn each_stage_of_a_player_has_its_own_rate() {
        let reading = |at, factor: u64| PlayReading {
            at: Monotonic::from_millis(at),
            rtt: Some(Duration::from_millis(2)),
            video: Some(VideoPlayStatistics {
                codec: Some(Mime::H264),
                arrived: 10 * factor,
                received: 9 * factor,
                decoded: 8 * factor,
                shown: 7 * factor,
                break_time: Duration::from_millis(250 * factor),
                playing: Duration::from_millis(1000 * factor),
                buffer_delay: Duration::from_millis(30),
                ..VideoPlayStatistics::default()
            }),
            audio: Some(AudioPlayStatistics {
                received: 50 * factor,
                taken: 49 * factor,
                decoded: 48 * factor,
                played: 960 * 47 * factor,
                concealed: 4800 * factor,
                playing: Duration::from_secs(factor),
                decode_time: Duration::from_millis(5 * factor),
                buffer_delay: Duration::from_millis(60),
                ..AudioPlayStatistics::default()
            }),
        };
        let quality = play_quality(Some(&reading(1000, 1)), &reading(2000, 2), (false, false));
        for (name, expected) in [
            ("video_recv_fps", 10.0),
            ("video_dejitter_fps", 9.0),
            ("video_decode_fps", 8.0),
            ("video_render_fps", 7.0),
            ("video_break_rate", 0.25),
            ("video_cumulative_break_rate", 0.25),
            ("audio_recv_fps", 50.0),
            ("audio_dejitter_fps", 49.0),
            ("audio_decode_fps", 48.0),
            ("audio_render_fps", 47.0),
            ("audio_cumulative_break_rate", 0.0),
        ] {
            assert_eq!(value(&quality, name), Some(QualityValue::Double(expected)), "{name}");
        }
        assert_eq!(value(&quality, "delay"), Some(QualityValue::Int(60)), "the later of the two");
        assert_eq!(value(&quality, "audio_cumulative_decode_time"), Some(QualityValue::Count(10)));
        // A tenth of the sound was guessed.
        let Some(QualityValue::Double(mos)) = value(&quality, "mos") else { panic!("no score") };
        assert!((2.0..2.6).contains(&mos), "{mos}");
        assert_eq!(value(&quality, "peer_to_peer_delay"), None, "nobody said when it was captured");
    }

    #[test]
    fn from_end_to_end_is_the_later_of_what_is_known() {
        let reading = |video: Option<u64>, audio: Option<u64>| PlayReading {
            at: Monotonic::default(),
            rtt: None,
            video: Some(VideoPlayStatistics {
                end_to_end: video.map(Duration::from_millis),
                ..VideoPlayStatistics::default()
            }),
            audio: Some(AudioPlayStatistics {
                end_to_end: audio.map(Duration::from_millis),
                ..AudioPlayStatistics::default()
            }),
        };
        for (video, audio, expected) in
            [(Some(90), Some(120), Some(120)), (Some(90), None, Some(90)), (None, None, None)]
        {
            let quality = play_quality(None, &reading(video, audio), (false, false));
            assert_eq!(value(&quality, "peer_to_peer_delay"), expected.map(QualityValue::Int), "{video:?} {audio:?}");
        }
    }

    #[test]
    fn levels_fall_with_loss_and_round_trip() {
        for (loss, rtt, expected) in [
            (None, 10, Level::Unknown),
            (Some(0.0), 10, Level::Excellent),
            (Some(0.0), 200, Level::Good),
            (Some(0.1), 10, Level::Medium),
            (Some(0.0), 1000, Level::Bad),
            (Some(1.0), 10, Level::Die),
        ] {
            assert_eq!(level(loss, Duration::from_millis(rtt)), expected, "{loss:?} {rtt:?}");
        }
    }
}
