//! RTP packets as the pipelines see them, and what was negotiated about them.

use bytes::Bytes;

use crate::clock::Monotonic;

/// Sound or picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Picture.
    Video,
}

impl MediaKind {
    /// `audio` or `video`, the word of an SDP media line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}

/// The codecs that are negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mime {
    /// `audio/opus`, RFC 7587.
    Opus,
    /// `video/H264`, packetization mode 1, RFC 6184.
    H264,
    /// `video/VP8`, RFC 7741.
    Vp8,
}

impl Mime {
    /// The name as an SDP `rtpmap` writes it, with its kind in front.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opus => "audio/opus",
            Self::H264 => "video/H264",
            Self::Vp8 => "video/VP8",
        }
    }

    /// Ticks of the RTP timestamp per second.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::H264 | Self::Vp8 => 90_000,
        }
    }
}

/// What offer and answer settled for one sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedCodec {
    /// The RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// The codec.
    pub mime: Mime,
    /// The format parameters, as in `a=fmtp`.
    pub fmtp: String,
    /// Ticks of the RTP timestamp per second.
    pub clock_rate: u32,
    /// The source that the packets carry.
    pub ssrc: u32,
}

/// One packet to be sent. Version, payload type, sequence number, source and header extensions are stamped by `rtc`.
#[derive(Clone, Debug)]
pub struct OutgoingRtp {
    /// Video: the last packet of a picture. Audio: the first packet after a silence.
    pub marker: bool,
    /// RTP timestamp in the codec's clock rate; every packet of one picture has the same.
    pub timestamp: u32,
    /// When the picture, or the first sample, that `timestamp` stands for was captured. Sender reports (RFC 3550 §6.4.1) map the
    /// timestamp to this moment, which is what the other side synchronises sound and picture by.
    pub captured_at: Monotonic,
    /// Level of the sound in -dBov, 0 (loudest) to 127 (silence), RFC 6464; sent only when the extension is negotiated.
    pub audio_level: Option<u8>,
    /// The payload, at most 1200 bytes.
    pub payload: Bytes,
}

/// What became of a packet given to [`MediaSender::send`](super::MediaSender::send).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// It is on its way to the socket.
    Queued,
    /// Not negotiated, or DTLS is not up: it was dropped.
    NotReady,
    /// The queue was full, so it was dropped: the network or this machine is too slow. Start again with a key frame.
    Overflow,
    /// The peer or the track is gone for good.
    Closed,
}

/// One packet that arrived, decrypted, with its retransmission wrapping taken off.
#[derive(Clone, Debug)]
pub struct IncomingRtp {
    /// When it arrived.
    pub arrived: Monotonic,
    /// Sequence number of the media (a retransmission's original one).
    pub sequence: u16,
    /// RTP timestamp in the codec's clock rate.
    pub timestamp: u32,
    /// The marker bit.
    pub marker: bool,
    /// The payload type on the wire.
    pub payload_type: u8,
    /// The codec of that payload type.
    pub mime: Mime,
    /// The payload without padding. Empty for a packet of padding alone: it says nothing, but its number is used up.
    pub payload: Bytes,
    /// Level of the sound in -dBov, 0 to 127, when the other side sends it.
    pub audio_level: Option<u8>,
    /// When, by our clock, what `timestamp` stands for was captured: if the packet says so and both ends know the server's clock. Not
    /// every packet says it.
    pub captured_at: Option<Monotonic>,
}

/// Takes the packets of one [`MediaReceiver`](super::MediaReceiver).
pub trait RtpSink: Send + Sync {
    /// Called on the peer's driver thread, in order of arrival, each packet at most once: put it away and return, never block.
    fn receive(&self, packet: IncomingRtp);
}
