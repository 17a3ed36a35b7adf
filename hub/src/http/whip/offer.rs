//! What a client's offer says that it came for.

use axum::http::{HeaderValue, StatusCode};
use livekit_protocol as proto;

use super::problem::Problem;
use crate::sdp::{self, Direction, Edit, Section, SectionKind};

/// Codecs that the hub forwards.
const CODECS: [&str; 3] = ["OPUS", "H264", "VP8"];

/// An offer, and the tracks that it publishes.
#[derive(Debug)]
pub struct Offered {
    /// The description, with each section's direction as the protocol wants it.
    pub sdp: String,
    /// The tracks to be announced.
    pub tracks: Vec<proto::AddTrackRequest>,
}

/// Reads a publisher's offer. `stream` is the ZEGO stream id that it asked for, empty when it did not.
pub fn publishing(sdp: &str, stream: &str) -> Result<Offered, Problem> {
    let sections = read(sdp)?;
    let sends = |s: &&Section| !s.rejected && s.direction.sends();
    let mut tracks = Vec::new();
    for kind in [SectionKind::Audio, SectionKind::Video] {
        if let Some(section) = sections.iter().filter(sends).find(|s| s.kind == kind) {
            check_codec(section)?;
            tracks.push(track(section, stream));
        }
    }
    if tracks.is_empty() {
        let detail = "The offer sends nothing: it needs an audio or a video section with a=sendonly";
        return Err(Problem::request(StatusCode::NOT_ACCEPTABLE, detail));
    }
    // RFC 9725, section 4.2: a client may offer to receive as well, and is not sent anything.
    Ok(Offered { sdp: directed(sdp, &sections, Direction::SendOnly), tracks })
}

/// Reads a player's offer.
pub fn watching(sdp: &str) -> Result<Offered, Problem> {
    let sections = read(sdp)?;
    let media = |s: &&Section| matches!(s.kind, SectionKind::Audio | SectionKind::Video);
    let receives = |s: &&Section| !s.rejected && matches!(s.direction, Direction::RecvOnly | Direction::SendRecv);
    let receiving: Vec<&Section> = sections.iter().filter(media).filter(receives).collect();
    if receiving.is_empty() {
        let detail = "The offer receives nothing: it needs an audio or a video section with a=recvonly";
        return Err(Problem::request(StatusCode::NOT_ACCEPTABLE, detail));
    }
    receiving.into_iter().try_for_each(check_codec)?;
    Ok(Offered { sdp: directed(sdp, &sections, Direction::RecvOnly), tracks: Vec::new() })
}

fn read(sdp: &str) -> Result<Vec<Section>, Problem> {
    let lines = || sdp.lines();
    let missing = match lines().next() {
        Some("v=0") => ["m=", "a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=mid:"]
            .into_iter()
            .find(|wanted| !lines().any(|line| line.starts_with(wanted))),
        _ => Some("v=0"),
    };
    match missing {
        Some(missing) => {
            let detail = format!("The body is no offer of a WebRTC client: it has no line '{missing}'");
            Err(Problem::request(StatusCode::BAD_REQUEST, &detail))
        }
        None => Ok(sdp::sections(sdp)),
    }
}

fn check_codec(section: &Section) -> Result<(), Problem> {
    if section.codecs.iter().any(|(_, codec)| CODECS.contains(&codec.as_str())) {
        return Ok(());
    }
    let offered: Vec<&str> = section.codecs.iter().map(|(_, codec)| codec.as_str()).take(8).collect();
    let detail = format!(
        "Section {} offers {}; the hub forwards Opus, H.264 and VP8: choose one of them",
        section.mid,
        if offered.is_empty() { "no codec".to_owned() } else { offered.join(", ") }
    );
    Err(Problem::request(StatusCode::NOT_ACCEPTABLE, &detail))
}

fn directed(sdp: &str, sections: &[Section], direction: Direction) -> String {
    sdp::rewrite(sdp, |mid| {
        let both = sections.iter().any(|s| s.mid == mid && s.direction == Direction::SendRecv);
        let media = sections.iter().any(|s| s.mid == mid && s.kind != SectionKind::Application);
        Edit { direction: (both && media).then_some(direction), ..Edit::default() }
    })
}

#[allow(deprecated)] // Older clients read these fields.
fn track(section: &Section, stream: &str) -> proto::AddTrackRequest {
    let (kind, source, name) = match section.kind {
        SectionKind::Audio => (proto::TrackType::Audio, proto::TrackSource::Microphone, "audio"),
        _ => (proto::TrackType::Video, proto::TrackSource::Camera, "video"),
    };
    let layer =
        |quality: proto::VideoQuality| proto::VideoLayer { quality: quality as i32, ..proto::VideoLayer::default() };
    let qualities = [proto::VideoQuality::Low, proto::VideoQuality::Medium, proto::VideoQuality::High];
    let layers: Vec<_> = qualities.into_iter().map(layer).filter(|_| section.simulcast).collect();
    proto::AddTrackRequest {
        cid: section.msid.as_ref().map(|(_, track)| track.clone()).filter(|id| !id.is_empty()).unwrap_or(name.into()),
        // A track whose name is its stream's is published under a ZEGO stream id.
        name: if stream.is_empty() { name.to_owned() } else { stream.to_owned() },
        stream: stream.to_owned(),
        r#type: kind as i32,
        source: source as i32,
        layers,
        // Programs and not people publish so: what they send is not only speech.
        disable_dtx: true,
        audio_features: match section.kind {
            SectionKind::Audio => vec![proto::AudioTrackFeature::TfNoDtx as i32],
            _ => Vec::new(),
        },
        ..Default::default()
    }
}

/// How a client is told of a STUN or TURN server (RFC 9725, section 4.4): one value of `Link` for each address.
pub fn links(server: &proto::IceServer) -> Vec<HeaderValue> {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let link = |url: &String| {
        let mut link = format!("<{url}>; rel=\"ice-server\"");
        if !server.username.is_empty() {
            let (user, credential) = (quoted(&server.username), quoted(&server.credential));
            link += &format!("; username=\"{user}\"; credential=\"{credential}\"; credential-type=\"password\"");
        }
        // What no header can hold is no address.
        HeaderValue::try_from(link).ok()
    };
    server.urls.iter().filter_map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As OBS writes it: attributes before the connection line, and no direction for the session.
    const OBS: &str = "v=0\r\no=rtc 3767197920 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=group:LS 0 1\r\n\
        a=msid-semantic:WMS *\r\na=setup:actpass\r\na=ice-ufrag:jBua\r\na=ice-pwd:sa14bpVy3bELwMdGZDZQZL\r\na=ice-options:ice2,trickle\r\n\
        a=fingerprint:sha-256 A7:2E\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\n\
        a=ssrc:1 cname:c\r\na=ssrc:1 msid:s s-audio\r\na=msid:s s-audio\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sendonly\r\na=msid:s s-video\r\na=rtcp-mux\r\n\
        a=rtpmap:96 H264/90000\r\n";

    fn status(outcome: Result<Offered, Problem>) -> Result<usize, u16> {
        outcome.map(|offered| offered.tracks.len()).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn an_offer_is_taken_by_what_it_sends_or_receives() {
        let recv = OBS.replace("sendonly", "recvonly");
        let both = OBS.replace("sendonly", "sendrecv");
        let av1 = OBS.replace("H264", "AV1");
        let no_ice = OBS.replace("a=ice-pwd", "a=x");
        let cases = [
            (OBS, Ok(2), Err(406)),
            (recv.as_str(), Err(406), Ok(0)),
            (both.as_str(), Ok(2), Ok(0)),
            (av1.as_str(), Err(406), Err(406)),
            (no_ice.as_str(), Err(400), Err(400)),
            ("", Err(400), Err(400)),
            ("hello", Err(400), Err(400)),
        ];
        for (sdp, publishes, watches) in cases {
            assert_eq!(status(publishing(sdp, "")), publishes, "{sdp}");
            assert_eq!(status(watching(sdp)), watches, "{sdp}");
        }
    }

    #[test]
    fn media_goes_one_way_only() {
        let both = OBS.replace("sendonly", "sendrecv");
        let sent = publishing(&both, "").expect("good").sdp;
        assert!(sdp::sections(&sent).iter().all(|s| s.direction == Direction::SendOnly), "{sent}");
        let received = watching(&both).expect("good").sdp;
        assert!(sdp::sections(&received).iter().all(|s| s.direction == Direction::RecvOnly), "{received}");
    }

    #[test]
    #[allow(deprecated)]
    fn tracks_are_announced_by_what_their_sections_say() {
        let plain = publishing(OBS, "").expect("good").tracks;
        assert_eq!((plain[0].cid.as_str(), plain[0].stream.as_str()), ("s-audio", ""));
        assert_eq!((plain[1].name.as_str(), plain[1].layers.len()), ("video", 0));
        assert!(plain[0].disable_dtx, "music is not to be cut");
        let simulcast = OBS.replace("a=rtpmap:96", "a=simulcast:send q;h;f\r\na=rtpmap:96");
        let named = publishing(&simulcast, "door").expect("good").tracks;
        assert_eq!((named[1].name.as_str(), named[1].stream.as_str(), named[1].layers.len()), ("door", "door", 3));
    }

    #[test]
    fn ice_servers_are_told_by_links() {
        let server = proto::IceServer {
            urls: vec!["turn:192.0.2.1:3478?transport=udp".into(), "stun:a\nb".into()],
            username: "1:x".into(),
            credential: "a\"b".into(),
        };
        let expected = "<turn:192.0.2.1:3478?transport=udp>; rel=\"ice-server\"; username=\"1:x\"; credential=\"a\\\"b\"; \
            credential-type=\"password\"";
        assert_eq!(links(&server), [expected]);
    }
}
