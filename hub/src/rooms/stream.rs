//! ZEGO streams: which tracks belong to which, and who may use a name.
//!
//! A track whose name equals its stream name was published under a ZEGO stream id. Tracks of other SDKs get one by
//! the rule of `docs/design/rooms.md`.

use livekit_protocol as proto;

/// The stream name that LiveKit gives a track that came without one.
pub fn default_stream(source: i32) -> &'static str {
    match proto::TrackSource::try_from(source) {
        Ok(proto::TrackSource::Camera | proto::TrackSource::Microphone) => "camera",
        Ok(proto::TrackSource::ScreenShare | proto::TrackSource::ScreenShareAudio) => "screen",
        _ => "unknown",
    }
}

/// Whether a track was published under a ZEGO stream id, which only one user of an AppID may use at a time.
pub fn is_zego(name: &str, stream: &str) -> bool {
    !stream.is_empty() && name == stream
}

/// The ZEGO stream id of a track.
pub fn stream_id(identity: &str, name: &str, stream: &str) -> String {
    if is_zego(name, stream) {
        return stream.to_owned();
    }
    let id = match stream {
        "" | "camera" | "microphone" | "unknown" => identity.to_owned(),
        "screen" | "screen_share" => format!("{identity}_screen"),
        other => format!("{identity}_{other}"),
    };
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}

/// Stream name to write into `a=msid` (RFC 8830: a token, which has no spaces). LiveKit's clients take a name that begins
/// with `TR` for the track's id, so the track's own stands in the place of such a name, and of none.
pub fn msid_stream(participant_sid: &str, stream: &str, track_sid: &str) -> String {
    let token: String = stream.chars().map(|c| if c.is_ascii_graphic() && c != '|' { c } else { '_' }).collect();
    let part = if token.is_empty() || token.starts_with("TR") { track_sid } else { &token };
    format!("{participant_sid}|{part}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_track_has_a_zego_stream_id() {
        let cases = [
            ("door", "door-main", "door-main", "door-main"),
            ("desk", "", "camera", "desk"),
            ("desk", "mic", "microphone", "desk"),
            ("desk", "cam", "", "desk"),
            ("desk", "cam", "unknown", "desk"),
            ("desk", "x", "screen", "desk_screen"),
            ("desk", "x", "screen_share", "desk_screen"),
            ("de sk@1", "x", "side cam", "de_sk_1_side_cam"),
        ];
        for (identity, name, stream, expected) in cases {
            assert_eq!(stream_id(identity, name, stream), expected, "{identity} {name} {stream}");
        }
    }

    #[test]
    fn names_that_would_be_misread_are_not_sent() {
        assert_eq!(msid_stream("PA_1", "door", "TR_9"), "PA_1|door");
        assert_eq!(msid_stream("PA_1", "TRuck", "TR_9"), "PA_1|TR_9");
        assert_eq!(msid_stream("PA_1", "", "TR_9"), "PA_1|TR_9");
        assert_eq!(msid_stream("PA_1", "a b|c", "TR_9"), "PA_1|a_b_c");
    }
}
