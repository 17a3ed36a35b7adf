//! What a description says about two channels of Opus, RFC 7587 §6.1: `sprop-stereo=1` in a section that sends them, `stereo=1` in one
//! that receives, since every receiver here can play them. The crate writes one format for all sections; this completes it.

use std::borrow::Cow;

/// Completes a description of ours; `sends_two` tells by its id whether a track has two channels.
pub(super) fn complete(sdp: &str, sends_two: impl Fn(&str) -> bool) -> String {
    let lines: Vec<&str> = sdp.lines().collect();
    let mut out = String::with_capacity(sdp.len() + 128);
    for section in lines.chunk_by(|_, next| !next.starts_with("m=")) {
        let parameters = parameters(section, &sends_two);
        let formats: Vec<String> = section.iter().filter_map(|line| opus_format(line)).collect();
        for &line in section {
            let is_format = formats.iter().any(|format| line.starts_with(format.as_str()));
            let parameters = if is_format { parameters } else { "" };
            let line = if parameters.is_empty() { Cow::from(line) } else { format!("{line};{parameters}").into() };
            out.push_str(&line);
            out.push_str("\r\n");
        }
    }
    out
}

/// What there is to say in one section.
fn parameters(section: &[&str], sends_two: impl Fn(&str) -> bool) -> &'static str {
    let has = |line: &str| section.contains(&line);
    if !section[0].starts_with("m=audio ") {
        return "";
    }
    let track = section.iter().find_map(|line| line.strip_prefix("a=msid:")?.split_whitespace().nth(1));
    let (sends, receives) = (has("a=sendrecv") || has("a=sendonly"), has("a=sendrecv") || has("a=recvonly"));
    match (sends && track.is_some_and(sends_two), receives) {
        (true, true) => "stereo=1;sprop-stereo=1",
        (true, false) => "sprop-stereo=1",
        (false, true) => "stereo=1",
        (false, false) => "",
    }
}

/// How the format line of the Opus that this line maps begins.
fn opus_format(line: &str) -> Option<String> {
    let (payload_type, codec) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
    codec.get(..5)?.eq_ignore_ascii_case("opus/").then(|| format!("a=fmtp:{payload_type} "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audio(direction: &str, track: &str) -> String {
        format!(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\na=mid:0\r\na={direction}\r\na=msid:door {track}\r\na=rtpmap:111 opus/48000/2\r\n\
             a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n"
        )
    }

    #[test]
    fn a_section_says_what_it_sends_and_what_it_takes() {
        let head = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\n";
        let tail = "m=video 9 UDP/TLS/RTP/SAVPF 106\r\na=mid:1\r\na=recvonly\r\na=rtpmap:106 H264/90000\r\na=fmtp:106 packetization-mode=1\r\n";
        for (direction, track, expected) in [
            ("sendonly", "mic", ""),
            ("sendonly", "two", ";sprop-stereo=1"),
            ("recvonly", "-", ";stereo=1"),
            ("sendrecv", "mic", ";stereo=1"),
            ("sendrecv", "two", ";stereo=1;sprop-stereo=1"),
            ("inactive", "two", ""),
        ] {
            let section = audio(direction, track);
            let sdp = format!("{head}{section}{tail}");
            let wanted = sdp.replace("useinbandfec=1\r\n", &format!("useinbandfec=1{expected}\r\n"));
            assert_eq!(complete(&sdp, |id| id == "two"), wanted, "{direction} {track}");
        }
    }

    #[test]
    fn every_section_is_read_on_its_own() {
        let sdp = audio("sendonly", "two") + &audio("recvonly", "-") + &audio("sendonly", "one");
        let out = complete(&sdp, |id| id == "two");
        let formats: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix("a=fmtp:111 ")).collect();
        let plain = "minptime=10;useinbandfec=1";
        assert_eq!(formats, [&format!("{plain};sprop-stereo=1"), &format!("{plain};stereo=1"), plain]);
        assert_eq!(out.matches("a=fmtp:63 111/111\r\n").count(), 3, "redundant sound has a format of its own");
    }
}
