//! What is offered: the codecs that the pipelines make and understand, and nothing else.

use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use webrtc::peer_connection::MediaEngine;

use super::error::RtcError;
use super::packet::MediaKind;
use super::sdp::{CAPTURE_TIME_URI, LEVEL_URI, MID_URI, TRANSPORT_CC_URI};

/// The payload type of sound that we send: it is we who offer.
pub(super) const OPUS_PAYLOAD_TYPE: u8 = 111;
/// RFC 7587: in-band FEC is wanted. What is said about stereo differs from section to section, see [`super::stereo`].
const OPUS: &str = "minptime=10;useinbandfec=1";
/// RFC 6184 §8.1: constrained baseline, level 3.1, larger allowed in either direction.
const H264_CONSTRAINED: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
/// Baseline, which some senders call their constrained baseline.
const H264_BASELINE: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f";

/// The kind in the crate's words.
pub(super) const fn kind(kind: MediaKind) -> RtpCodecKind {
    match kind {
        MediaKind::Audio => RtpCodecKind::Audio,
        MediaKind::Video => RtpCodecKind::Video,
    }
}

fn feedback(typ: &str, parameter: &str) -> RTCPFeedback {
    RTCPFeedback { typ: typ.to_owned(), parameter: parameter.to_owned() }
}

fn codec(mime: &str, clock_rate: u32, channels: u16, fmtp: &str, feedback: Vec<RTCPFeedback>) -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: mime.to_owned(),
        clock_rate,
        channels,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback: feedback,
    }
}

fn video_feedback() -> Vec<RTCPFeedback> {
    vec![
        feedback("transport-cc", ""),
        feedback("ccm", "fir"),
        feedback("nack", ""),
        feedback("nack", "pli"),
        feedback("goog-remb", ""),
    ]
}

/// The codec that we send.
pub(super) fn sent(kind: MediaKind) -> RTCRtpCodec {
    match kind {
        MediaKind::Audio => codec("audio/opus", 48_000, 2, OPUS, vec![feedback("transport-cc", "")]),
        MediaKind::Video => codec("video/H264", 90_000, 0, H264_CONSTRAINED, video_feedback()),
    }
}

/// All codecs and header extensions.
///
/// # Errors
/// [`RtcError::Engine`] when the crate refuses one.
pub(super) fn media_engine() -> Result<MediaEngine, RtcError> {
    let mut engine = MediaEngine::default();
    let mut register = |rtp_codec: RTCRtpCodec, payload_type: u8, kind: RtpCodecKind| {
        engine.register_codec(RTCRtpCodecParameters { rtp_codec, payload_type }, kind)
    };
    register(sent(MediaKind::Audio), OPUS_PAYLOAD_TYPE, RtpCodecKind::Audio)?;
    let videos = [
        (sent(MediaKind::Video), 106, 107),
        (codec("video/H264", 90_000, 0, H264_BASELINE, video_feedback()), 102, 103),
        (codec("video/VP8", 90_000, 0, "", video_feedback()), 96, 97),
    ];
    for (video, payload_type, rtx) in videos {
        register(video, payload_type, RtpCodecKind::Video)?;
        register(codec("video/rtx", 90_000, 0, &format!("apt={payload_type}"), vec![]), rtx, RtpCodecKind::Video)?;
    }
    for (uri, kind) in [
        (MID_URI, RtpCodecKind::Audio),
        (MID_URI, RtpCodecKind::Video),
        (LEVEL_URI, RtpCodecKind::Audio),
        (TRANSPORT_CC_URI, RtpCodecKind::Audio),
        (TRANSPORT_CC_URI, RtpCodecKind::Video),
        (CAPTURE_TIME_URI, RtpCodecKind::Audio),
        (CAPTURE_TIME_URI, RtpCodecKind::Video),
    ] {
        engine.register_header_extension(RTCRtpHeaderExtensionCapability { uri: uri.to_owned() }, kind, None)?;
    }
    Ok(engine)
}
