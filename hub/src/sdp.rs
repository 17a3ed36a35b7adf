//! Session descriptions as text: what the signalling needs to read from an offer, and the few lines that it rewrites.
//!
//! The forwarding unit negotiates codecs, SSRCs and transport by itself. What it cannot know is which section carries
//! which track (`a=msid`, RFC 8830), which receiving sections are unused, and the publisher's codec preference
//! (order of payload types in the `m=` line, RFC 3264 section 6.1). Unknown lines pass untouched.

mod opus;
mod size;

use std::fmt::Write as _;

pub use opus::Opus;
use opus::has_parameter;
pub use size::check_size;

/// Media type of one `m=` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionKind {
    /// `m=audio`.
    Audio,
    /// `m=video`.
    Video,
    /// `m=application`: data channels.
    Application,
    /// Anything else.
    Other,
}

/// Direction attribute of a section, as its author sees it (RFC 8866 section 6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Sends and receives; the default when no attribute is there.
    SendRecv,
    /// Only sends.
    SendOnly,
    /// Only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    fn parse(line: &str) -> Option<Direction> {
        match line {
            "a=sendrecv" => Some(Direction::SendRecv),
            "a=sendonly" => Some(Direction::SendOnly),
            "a=recvonly" => Some(Direction::RecvOnly),
            "a=inactive" => Some(Direction::Inactive),
            _ => None,
        }
    }

    /// Whether the author of the section sends media on it.
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }
}

/// What the signalling reads from one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Media type.
    pub kind: SectionKind,
    /// `a=mid`, empty when absent.
    pub mid: String,
    /// Direction, as the author of the description sees it.
    pub direction: Direction,
    /// Port 0 and not part of the bundle: the section is stopped (RFC 8843 section 7.5.3).
    pub rejected: bool,
    /// Stream and track of `a=msid`.
    pub msid: Option<(String, String)>,
    /// Payload types in the author's order of preference.
    pub payload_types: Vec<String>,
    /// Codec name of each payload type (`a=rtpmap`), upper case, in the order of the lines.
    pub codecs: Vec<(String, String)>,
    /// Two channels of Opus are sent: `sprop-stereo=1`, RFC 7587 section 6.1.
    pub stereo: bool,
    /// Two channels of Opus can be received: `stereo=1`. Some clients mean what they send, and some write it everywhere.
    pub takes_stereo: bool,
    /// The section offers several encodings by `a=simulcast`.
    pub simulcast: bool,
    /// Payload type and parameter of each `x-google-start-bitrate` in the formats.
    pub start_bitrates: Vec<(String, String)>,
}

/// Reads all sections of a description. Never fails: what cannot be read is left at its default, and the forwarding
/// unit refuses a description that is really broken.
pub fn sections(sdp: &str) -> Vec<Section> {
    let bundled = bundled(sdp);
    let mut found: Vec<Section> = Vec::new();
    for line in lines(sdp) {
        if let Some(media) = line.strip_prefix("m=") {
            found.push(section_start(media));
            continue;
        }
        let Some(section) = found.last_mut() else { continue };
        if let Some(direction) = Direction::parse(line) {
            section.direction = direction;
        } else if let Some(mid) = line.strip_prefix("a=mid:") {
            section.mid = mid.trim().to_owned();
        } else if let Some(msid) = line.strip_prefix("a=msid:") {
            let mut words = msid.split_whitespace();
            let stream = words.next().unwrap_or_default().to_owned();
            let track = words.next().unwrap_or_default().to_owned();
            section.msid = Some((stream, track));
        } else if let Some(map) = line.strip_prefix("a=rtpmap:") {
            if let Some((payload_type, codec)) = map.split_once(' ') {
                let name = codec.split('/').next().unwrap_or_default().to_ascii_uppercase();
                section.codecs.push((payload_type.to_owned(), name));
            }
        } else if let Some(format) = line.strip_prefix("a=fmtp:") {
            section.stereo |= has_parameter(format, "sprop-stereo=1");
            section.takes_stereo |= has_parameter(format, "stereo=1");
            section.start_bitrates.extend(start_bitrate(format));
        } else if line.starts_with("a=simulcast:") {
            section.simulcast = true;
        }
    }
    for section in &mut found {
        section.rejected &= !bundled.iter().any(|mid| *mid == section.mid);
    }
    found
}

fn bundled(sdp: &str) -> Vec<&str> {
    lines(sdp)
        .find_map(|line| line.strip_prefix("a=group:BUNDLE"))
        .map(|mids| mids.split_whitespace().collect())
        .unwrap_or_default()
}

fn section_start(media: &str) -> Section {
    let mut words = media.split_whitespace();
    let kind = match words.next() {
        Some("audio") => SectionKind::Audio,
        Some("video") => SectionKind::Video,
        Some("application") => SectionKind::Application,
        _ => SectionKind::Other,
    };
    let rejected = words.next() == Some("0");
    let payload_types = words.skip(1).map(str::to_owned).collect();
    Section {
        kind,
        mid: String::new(),
        direction: Direction::SendRecv,
        rejected,
        msid: None,
        payload_types,
        codecs: Vec::new(),
        stereo: false,
        takes_stereo: false,
        simulcast: false,
        start_bitrates: Vec::new(),
    }
}

/// The hint in a format's parameters, with its payload type.
fn start_bitrate(format: &str) -> Option<(String, String)> {
    let (payload_type, parameters) = format.split_once(' ')?;
    let hint = parameters.split(';').map(str::trim).find(|p| p.starts_with("x-google-start-bitrate="))?;
    Some((payload_type.to_owned(), hint.to_owned()))
}

fn lines(sdp: &str) -> impl Iterator<Item = &str> {
    sdp.split('\n').map(|line| line.trim_end_matches('\r')).filter(|line| !line.is_empty())
}

/// What to change in one section of a description.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// `Some(None)` removes `a=msid`, `Some(Some((stream, track)))` sets it.
    pub msid: Option<Option<(String, String)>>,
    /// Replaces the direction.
    pub direction: Option<Direction>,
    /// Payload types to put first in the `m=` line, those that are not there are ignored.
    pub prefer: Vec<String>,
    /// What the format of Opus is to say.
    pub opus: Opus,
    /// Parameters to add to the formats of payload types, see [`Section::start_bitrates`]. A publisher that begins at
    /// the default of 300 kbit/s halves its picture and takes ten seconds to dare more; libwebrtc reads the hint that
    /// its own offer carries from the answer.
    pub start_bitrates: Vec<(String, String)>,
}

/// Rewrites a description; `edit` is asked once per section, by its `a=mid`. `a=ssrc … msid:` lines follow the new
/// `a=msid`. `a=sctp-init` is dropped everywhere: data channels are opened by the ordinary handshake.
pub fn rewrite(sdp: &str, mut edit: impl FnMut(&str) -> Edit) -> String {
    let mut out = String::with_capacity(sdp.len() + 256);
    let all: Vec<&str> = lines(sdp).collect();
    let first = all.iter().position(|line| line.starts_with("m=")).unwrap_or(all.len());
    for line in &all[..first] {
        push(&mut out, line);
    }
    let mut start = first;
    while start < all.len() {
        let end = all[start + 1..].iter().position(|l| l.starts_with("m=")).map_or(all.len(), |n| start + 1 + n);
        let section = &all[start..end];
        let mid = section.iter().find_map(|line| line.strip_prefix("a=mid:")).unwrap_or_default().trim();
        rewrite_section(&mut out, section, &edit(mid));
        start = end;
    }
    out
}

fn rewrite_section(out: &mut String, section: &[&str], edit: &Edit) {
    push(out, &reorder(section[0], &edit.prefer));
    let opus = edit.opus.format_of(section);
    let mapped = |payload_type: &str| {
        let map = format!("a=rtpmap:{payload_type} ");
        section.iter().any(|line| line.starts_with(&map))
    };
    let hints: Vec<(String, &str)> = edit
        .start_bitrates
        .iter()
        .filter(|(payload_type, _)| mapped(payload_type))
        .map(|(payload_type, hint)| (format!("a=fmtp:{payload_type} "), hint.as_str()))
        .collect();
    for line in &section[1..] {
        if line.starts_with("a=sctp-init:") {
            continue;
        }
        if edit.msid.is_some() && (line.starts_with("a=msid:") || is_ssrc_msid(line)) {
            continue;
        }
        if let (Some(direction), Some(_)) = (edit.direction, Direction::parse(line)) {
            push(out, direction_line(direction));
            continue;
        }
        if opus.as_deref().is_some_and(|prefix| line.starts_with(prefix)) {
            push(out, &edit.opus.complete(line));
            continue;
        }
        if let Some((_, hint)) = hints.iter().find(|(prefix, _)| line.starts_with(prefix.as_str())) {
            push(out, &format!("{line};{hint}"));
            continue;
        }
        push(out, line);
    }
    for (prefix, hint) in hints.iter().filter(|(prefix, _)| !section.iter().any(|l| l.starts_with(prefix.as_str()))) {
        push(out, &format!("{prefix}{hint}"));
    }
    if let Some(prefix) = opus.filter(|prefix| !section.iter().any(|line| line.starts_with(prefix.as_str()))) {
        push(out, &edit.opus.complete(&prefix));
    }
    if let Some(Some((stream, track))) = &edit.msid {
        push(out, &format!("a=msid:{stream} {track}"));
    }
}

fn is_ssrc_msid(line: &str) -> bool {
    line.starts_with("a=ssrc:") && line.split_once(' ').is_some_and(|(_, attribute)| attribute.starts_with("msid:"))
}

fn direction_line(direction: Direction) -> &'static str {
    match direction {
        Direction::SendRecv => "a=sendrecv",
        Direction::SendOnly => "a=sendonly",
        Direction::RecvOnly => "a=recvonly",
        Direction::Inactive => "a=inactive",
    }
}

fn reorder(media: &str, prefer: &[String]) -> String {
    let words: Vec<&str> = media.split_whitespace().collect();
    if prefer.is_empty() || words.len() < 4 {
        return media.to_owned();
    }
    let (head, payload_types) = words.split_at(3);
    let mut ordered: Vec<&str> =
        prefer.iter().map(String::as_str).filter(|wanted| payload_types.contains(wanted)).collect();
    ordered.extend(payload_types.iter().filter(|p| !prefer.iter().any(|wanted| wanted == *p)));
    let mut line = head.join(" ");
    for payload_type in ordered {
        let _ = write!(line, " {payload_type}");
    }
    line
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Lines of a real offer, mixed up and cut anywhere, with noise between them, read and rewritten.
        #[test]
        fn no_description_makes_it_panic(
            picks in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..80, "[ -~é:/;=]{0,20}"), 0..40),
        ) {
            let lines: Vec<&str> = OFFER.split("\r\n").collect();
            let mut text = String::new();
            for (line, length, noise) in picks {
                let line = line.get(&lines);
                text.push_str(line.get(..length).unwrap_or(line));
                text.push_str(&noise);
                text.push_str("\r\n");
            }
            let found = sections(&text);
            let edit = |_: &str| Edit {
                msid: Some(Some(("stream".to_owned(), "track".to_owned()))),
                direction: Some(Direction::Inactive),
                prefer: vec!["102".to_owned()],
                opus: Opus { stereo: true, dtx: true },
                start_bitrates: vec![("96".to_owned(), "x-google-start-bitrate=600".to_owned())],
            };
            prop_assert_eq!(sections(&rewrite(&text, edit)).len(), found.len());
        }
    }

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2 3\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\na=mid:0\r\na=sendonly\r\na=msid:camera MIC1\r\n\
        a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 96 102 97\r\na=mid:1\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:102 H264/90000\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\na=sctp-init:AAAA\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:9\r\na=inactive\r\n";

    #[test]
    fn sections_are_read_with_mid_direction_msid_and_codecs() {
        let found = sections(OFFER);
        assert_eq!(found.len(), 4);
        assert_eq!(found[0].kind, SectionKind::Audio);
        assert_eq!(found[0].msid, Some(("camera".into(), "MIC1".into())));
        assert!(found[0].direction.sends());
        assert_eq!(found[1].direction, Direction::RecvOnly);
        assert!(!found[1].rejected, "port 0 inside the bundle is not a rejection");
        assert_eq!(found[1].codecs, [("96".into(), "VP8".into()), ("102".into(), "H264".into())]);
        assert_eq!(found[2].kind, SectionKind::Application);
        assert!(found[3].rejected, "port 0 outside the bundle is a rejection");
    }

    #[test]
    fn an_answer_carries_the_tracks_names_and_the_offers_preference() {
        let answer = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97 102\r\na=mid:1\r\na=sendonly\r\na=msid:x y\r\n\
            a=ssrc:7 cname:c\r\na=ssrc:7 msid:x y\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\n\
            a=fmtp:111 useinbandfec=1\r\n";
        let out = rewrite(answer, |mid| match mid {
            "1" => Edit {
                msid: Some(Some(("PA_1|door".into(), "TR_1".into()))),
                prefer: vec!["102".into(), "55".into()],
                ..Edit::default()
            },
            _ => Edit { opus: Opus { stereo: true, dtx: true }, msid: Some(None), ..Edit::default() },
        });
        assert!(out.contains("m=video 9 UDP/TLS/RTP/SAVPF 102 96 97\r\n"), "{out}");
        assert!(out.contains("a=msid:PA_1|door TR_1\r\n"));
        assert!(out.contains("a=ssrc:7 cname:c\r\n"));
        assert!(!out.contains("msid:x y"));
        assert!(out.contains("a=fmtp:111 useinbandfec=1;stereo=1;sprop-stereo=1;usedtx=1\r\n"));
        let bare = answer.replace("a=fmtp:111 useinbandfec=1\r\n", "");
        let out = rewrite(&bare, |_| Edit { opus: Opus { stereo: false, dtx: true }, ..Edit::default() });
        assert!(out.contains("a=fmtp:111 usedtx=1\r\n"), "without a format, one is written: {out}");
        assert_eq!(out.matches("usedtx").count(), 1, "only of Opus: {out}");
    }

    #[test]
    fn two_channels_are_sent_when_the_publisher_says_so() {
        let sent = |parameters: &str| sections(&OFFER.replace("useinbandfec=1", parameters))[0].stereo;
        assert!(sent("stereo=1;sprop-stereo=1") && sent("sprop-stereo=1"));
        assert!(!sent("useinbandfec=1;stereo=1"), "one that can receive two need not send them");
    }

    #[test]
    fn an_unused_section_is_made_inactive_and_sctp_init_is_dropped() {
        let out = rewrite(OFFER, |mid| match mid {
            "1" => Edit { direction: Some(Direction::Inactive), ..Edit::default() },
            _ => Edit::default(),
        });
        assert_eq!(sections(&out)[1].direction, Direction::Inactive);
        assert_eq!(sections(&out)[0].direction, Direction::SendOnly);
        assert!(!out.contains("sctp-init"));
    }

    #[test]
    fn the_publishers_start_bitrate_is_repeated_in_the_answer() {
        let offer = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 102 45\r\na=mid:8\r\na=rtpmap:96 VP8/90000\r\n\
            a=fmtp:96 x-google-start-bitrate=900\r\na=rtpmap:102 H264/90000\r\n\
            a=fmtp:102 packetization-mode=1;x-google-start-bitrate=700\r\na=fmtp:45 x-google-start-bitrate=5\r\n";
        let found = sections(offer).remove(0).start_bitrates;
        assert_eq!(found.len(), 3);
        let answer = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 102\r\na=mid:8\r\na=rtpmap:96 VP8/90000\r\n\
            a=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1\r\n";
        let out = rewrite(answer, |_| Edit { start_bitrates: found.clone(), ..Edit::default() });
        assert!(out.contains("a=fmtp:96 x-google-start-bitrate=900\r\n"), "{out}");
        assert!(out.contains("a=fmtp:102 packetization-mode=1;x-google-start-bitrate=700\r\n"), "{out}");
        assert!(!out.contains("a=fmtp:45"), "a codec that was not accepted has no format: {out}");
    }
}
