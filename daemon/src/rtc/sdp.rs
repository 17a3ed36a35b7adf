//! What media needs to know from a session description (RFC 8866, RFC 9429): per section its direction, codecs, header
//! extensions and sources. The `webrtc` crate negotiates; this only reads the result.

use super::packet::{MediaKind, Mime};
use super::tcp::is_tcp;

/// Which way media flows in a section, as seen by who wrote the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    /// Whoever wrote this sends.
    pub(super) const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whoever wrote this receives.
    pub(super) const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// One payload type of a section that we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Codec {
    pub(super) payload_type: u8,
    pub(super) mime: Mime,
    pub(super) fmtp: String,
    /// Payload type of its retransmissions, RFC 4588.
    pub(super) rtx: Option<u8>,
    /// `a=rtcp-fb … nack` is there.
    pub(super) nack: bool,
}

/// One audio or video section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) kind: MediaKind,
    pub(super) mid: String,
    pub(super) direction: Direction,
    /// Codecs that we know, in order of preference.
    pub(super) codecs: Vec<Codec>,
    /// First token of `a=msid`, empty if absent or `-`.
    pub(super) stream_id: String,
    /// Second token of `a=msid`.
    pub(super) track_id: String,
    /// Sources of media with the source of their retransmissions.
    pub(super) sources: Vec<(u32, Option<u32>)>,
    pub(super) mid_extension: Option<u8>,
    pub(super) level_extension: Option<u8>,
    pub(super) transport_cc_extension: Option<u8>,
    pub(super) capture_time_extension: Option<u8>,
}

/// `urn:ietf:params:rtp-hdrext:sdes:mid`, RFC 8843.
pub(super) const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// RFC 6464.
pub(super) const LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
/// draft-holmer-rmcat-transport-wide-cc-extensions-01.
pub(super) const TRANSPORT_CC_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/// abs-capture-time, see `capture_time`.
pub(super) const CAPTURE_TIME_URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

/// The audio and video sections, in order; rejected ones (port 0) and the data section are left out.
pub(super) fn sections(sdp: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut reader: Option<Reader> = None;
    // A direction before the first section is the default of all.
    let mut default = Direction::SendRecv;
    for line in sdp.lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        if key == "m" {
            sections.extend(reader.take().and_then(Reader::finish));
            reader = Reader::new(value, default);
            if reader.is_none() {
                reader = Some(Reader::ignored());
            }
        } else if key == "a" {
            match &mut reader {
                Some(reader) => reader.attribute(value),
                None => {
                    if let Some(direction) = direction(value) {
                        default = direction;
                    }
                }
            }
        }
    }
    sections.extend(reader.and_then(Reader::finish));
    sections
}

/// The candidates in a description, of all its sections.
pub(super) fn candidates(sdp: &str) -> impl Iterator<Item = &str> {
    sdp.lines()
        .filter_map(|line| line.strip_prefix("a="))
        .filter(|value| value.starts_with("candidate:"))
        .map(str::trim_end)
}

/// A description without its TCP candidates.
pub(super) fn without_tcp(sdp: &str) -> String {
    let stays = |line: &&str| !line.strip_prefix("a=candidate:").is_some_and(is_tcp);
    sdp.split_inclusive('\n').filter(stays).collect()
}

fn direction(word: &str) -> Option<Direction> {
    Some(match word {
        "sendrecv" => Direction::SendRecv,
        "sendonly" => Direction::SendOnly,
        "recvonly" => Direction::RecvOnly,
        "inactive" => Direction::Inactive,
        _ => return None,
    })
}

/// A section while its lines are read.
struct Reader {
    kind: Option<MediaKind>,
    order: Vec<u8>,
    maps: Vec<(u8, String)>,
    fmtps: Vec<(u8, String)>,
    nacks: Vec<u8>,
    direction: Direction,
    mid: String,
    msid: (String, String),
    sources: Vec<u32>,
    pairs: Vec<(u32, u32)>,
    extensions: Vec<(u8, String)>,
}

impl Reader {
    fn ignored() -> Self {
        Self {
            kind: None,
            order: Vec::new(),
            maps: Vec::new(),
            fmtps: Vec::new(),
            nacks: Vec::new(),
            direction: Direction::Inactive,
            mid: String::new(),
            msid: (String::new(), String::new()),
            sources: Vec::new(),
            pairs: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// From an `m=` line; `None` when it is neither audio nor video, or rejected.
    fn new(line: &str, default: Direction) -> Option<Self> {
        let mut words = line.split_whitespace();
        let kind = match words.next()? {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            _ => return None,
        };
        // In a bundle, port 0 with `a=bundle-only` is alive, but only offers with bundle-only sections write that.
        if words.next()? == "0" {
            return None;
        }
        words.next()?;
        Some(Self {
            kind: Some(kind),
            order: words.filter_map(|word| word.parse().ok()).collect(),
            direction: default,
            ..Self::ignored()
        })
    }

    fn attribute(&mut self, value: &str) {
        if let Some(direction) = direction(value) {
            self.direction = direction;
            return;
        }
        let Some((name, value)) = value.split_once(':') else { return };
        match name {
            "mid" => value.trim().clone_into(&mut self.mid),
            "msid" => {
                let mut words = value.split_whitespace();
                let stream = words.next().filter(|word| *word != "-").unwrap_or_default();
                self.msid = (stream.to_owned(), words.next().unwrap_or_default().to_owned());
            }
            "rtpmap" => self.maps.extend(numbered(value)),
            "fmtp" => self.fmtps.extend(numbered(value)),
            "rtcp-fb" => {
                if let Some((number, "nack")) = value.split_once(' ').map(|(number, rest)| (number, rest.trim()))
                    && let Ok(number) = number.parse()
                {
                    self.nacks.push(number);
                }
            }
            "extmap" => {
                if let Some((number, rest)) = value.split_once(' ')
                    && let Some(id) = number.split('/').next().and_then(|id| id.parse().ok())
                    && let Some(uri) = rest.split_whitespace().next()
                {
                    self.extensions.push((id, uri.to_owned()));
                }
            }
            "ssrc" => {
                if let Some(source) = value.split_whitespace().next().and_then(|word| word.parse().ok())
                    && !self.sources.contains(&source)
                {
                    self.sources.push(source);
                }
            }
            "ssrc-group" => {
                let words: Vec<&str> = value.split_whitespace().collect();
                if let ["FID", media, rtx] = words.as_slice()
                    && let (Ok(media), Ok(rtx)) = (media.parse(), rtx.parse())
                {
                    self.pairs.push((media, rtx));
                }
            }
            _ => {}
        }
    }

    fn finish(self) -> Option<Section> {
        let kind = self.kind?;
        let fmtp = |number: u8| {
            self.fmtps.iter().find(|(other, _)| *other == number).map(|(_, text)| text.as_str()).unwrap_or_default()
        };
        let name = |number: u8| {
            self.maps.iter().find(|(other, _)| *other == number).and_then(|(_, text)| text.split('/').next())
        };
        let rtx_of = |number: u8| {
            self.order.iter().copied().find(|rtx| {
                name(*rtx).is_some_and(|name| name.eq_ignore_ascii_case("rtx"))
                    && parameter(fmtp(*rtx), "apt").and_then(|apt| apt.parse().ok()) == Some(number)
            })
        };
        let codecs = self.order.iter().copied().filter_map(|payload_type| {
            let mime = mime(kind, name(payload_type)?, fmtp(payload_type))?;
            Some(Codec {
                payload_type,
                mime,
                fmtp: fmtp(payload_type).to_owned(),
                rtx: rtx_of(payload_type),
                nack: self.nacks.contains(&payload_type),
            })
        });
        let extension =
            |uri: &str| self.extensions.iter().find(|(_, other)| other == uri).map(|(id, _)| *id).filter(|id| *id > 0);
        let is_rtx = |source: &u32| self.pairs.iter().any(|(_, rtx)| rtx == source);
        let sources = self
            .sources
            .iter()
            .filter(|source| !is_rtx(source))
            .map(|source| (*source, self.pairs.iter().find(|(media, _)| media == source).map(|(_, rtx)| *rtx)));
        Some(Section {
            kind,
            codecs: codecs.collect(),
            sources: sources.collect(),
            mid_extension: extension(MID_URI),
            level_extension: extension(LEVEL_URI),
            transport_cc_extension: extension(TRANSPORT_CC_URI),
            capture_time_extension: extension(CAPTURE_TIME_URI),
            mid: self.mid,
            direction: self.direction,
            stream_id: self.msid.0,
            track_id: self.msid.1,
        })
    }
}

/// `111 opus/48000/2` as (111, "opus/48000/2").
fn numbered(value: &str) -> Option<(u8, String)> {
    let (number, text) = value.split_once(' ')?;
    Some((number.parse().ok()?, text.trim().to_owned()))
}

/// The value of one `name=value` of a format's parameters.
fn parameter<'a>(fmtp: &'a str, wanted: &str) -> Option<&'a str> {
    fmtp.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case(wanted).then_some(value.trim())
    })
}

fn mime(kind: MediaKind, name: &str, fmtp: &str) -> Option<Mime> {
    match kind {
        MediaKind::Audio => name.eq_ignore_ascii_case("opus").then_some(Mime::Opus),
        MediaKind::Video if name.eq_ignore_ascii_case("vp8") => Some(Mime::Vp8),
        // Mode 0 has no fragments: our pictures would not fit.
        MediaKind::Video if name.eq_ignore_ascii_case("h264") => {
            (parameter(fmtp, "packetization-mode") == Some("1")).then_some(Mime::H264)
        }
        MediaKind::Video => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Lines of a real answer, mixed up and cut anywhere, with noise between them.
        #[test]
        fn no_description_makes_it_panic(
            picks in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..80, "[ -~é:/;=]{0,20}"), 0..40),
        ) {
            let lines: Vec<&str> = ANSWER.split("\r\n").collect();
            let mut text = String::new();
            for (line, length, noise) in picks {
                let line = line.get(&lines);
                text.push_str(line.get(..length).unwrap_or(line));
                text.push_str(&noise);
                text.push_str("\r\n");
            }
            for section in sections(&text) {
                prop_assert!(section.mid_extension != Some(0) && section.level_extension != Some(0));
            }
            prop_assert!(candidates(&text).count() <= text.lines().count());
        }
    }

    const ANSWER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\na=mid:0\r\na=sendonly\r\na=msid:PA_1|door TR_a\r\n\
        a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\n\
        a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=extmap:4/sendonly urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
        a=ssrc:77 cname:x\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97 125 107 108\r\na=mid:1\r\na=sendrecv\r\na=msid:- cam\r\n\
        a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:125 H264/90000\r\n\
        a=fmtp:125 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\na=rtpmap:107 rtx/90000\r\n\
        a=fmtp:107 apt=125\r\na=rtpmap:108 H264/90000\r\na=fmtp:108 packetization-mode=0\r\n\
        a=rtcp-fb:96 nack pli\r\na=rtcp-fb:125 nack\r\na=rtcp-fb:125 nack pli\r\n\
        a=ssrc-group:FID 10 11\r\na=ssrc:10 cname:x\r\na=ssrc:11 cname:x\r\na=ssrc:10 msid:- cam\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:3\r\na=inactive\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\na=sctp-port:5000\r\n";

    #[test]
    fn sections_say_who_sends_what() {
        let sections = sections(ANSWER);
        assert_eq!(sections.len(), 2, "the rejected and the data section are left out");
        let audio = &sections[0];
        assert_eq!((audio.kind, audio.mid.as_str(), audio.direction), (MediaKind::Audio, "0", Direction::SendOnly));
        assert_eq!((audio.stream_id.as_str(), audio.track_id.as_str()), ("PA_1|door", "TR_a"));
        assert_eq!(audio.sources, [(77, None)]);
        assert_eq!(
            (audio.level_extension, audio.mid_extension, audio.transport_cc_extension),
            (Some(1), Some(4), None)
        );
        assert_eq!(audio.codecs.len(), 1, "red is not ours");
        assert_eq!((audio.codecs[0].payload_type, audio.codecs[0].mime), (111, Mime::Opus));

        let video = &sections[1];
        assert_eq!(video.sources, [(10, Some(11))]);
        assert_eq!((video.stream_id.as_str(), video.track_id.as_str()), ("", "cam"));
        let codecs: Vec<_> = video.codecs.iter().map(|c| (c.payload_type, c.mime, c.rtx, c.nack)).collect();
        assert_eq!(codecs, [(96, Mime::Vp8, Some(97), false), (125, Mime::H264, Some(107), true)], "no mode 0");
    }

    #[test]
    fn candidates_are_found_in_every_section() {
        let sdp = "v=0\r\nm=audio 9 X 111\r\na=inactive\r\na=candidate:1 1 udp 5 127.0.0.1 7882 typ host\r\na=mid:0\r\n\
            m=application 9 X d\r\na=candidate:2 1 udp 4 ::1 7882 typ host\r\na=end-of-candidates\r\n";
        let found: Vec<&str> = candidates(sdp).collect();
        assert_eq!(found, ["candidate:1 1 udp 5 127.0.0.1 7882 typ host", "candidate:2 1 udp 4 ::1 7882 typ host"]);
    }

    #[test]
    fn candidates_of_tcp_are_taken_out() {
        let sdp = "v=0\r\na=candidate:1 1 udp 5 127.0.0.1 7882 typ host\r\n\
            a=candidate:2 1 tcp 4 127.0.0.1 7882 typ host tcptype passive\r\na=end-of-candidates\r\n";
        let kept = "v=0\r\na=candidate:1 1 udp 5 127.0.0.1 7882 typ host\r\na=end-of-candidates\r\n";
        assert_eq!(without_tcp(sdp), kept);
        assert_eq!(without_tcp(kept), kept);
    }

    #[test]
    fn garbage_is_no_section() {
        for text in
            ["", "m=", "m=audio", "m=audio 9", "a=mid:0\n\n=\n", "m=audio 9 X 300 -1 x\na=ssrc:\na=extmap:\na=rtpmap:9"]
        {
            assert!(sections(text).iter().all(|section| section.codecs.is_empty()), "{text}");
        }
    }
}
