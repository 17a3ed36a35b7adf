//! The ICE parts of descriptions: what is told later (RFC 8840, section 9), and what is put into place.

/// Adds candidates (`candidate:…`) to the first section of a description: all others are bundled with it.
pub(super) fn with_candidates(description: &str, candidates: &[String]) -> String {
    let mut out = String::with_capacity(description.len() + candidates.len() * 80);
    let mut sections = 0;
    let write = |out: &mut String| {
        for candidate in candidates.iter().filter(|candidate| !description.contains(candidate.as_str())) {
            line(out, &format!("a={candidate}"));
        }
    };
    for text in lines(description) {
        if text.starts_with("m=") {
            sections += 1;
            if sections == 2 {
                write(&mut out);
            }
        }
        line(&mut out, text);
    }
    if sections == 1 {
        write(&mut out);
    }
    out
}

/// What is told of `offer`'s ICE session: credentials, and candidates.
pub(super) fn of_offer(offer: &str, candidates: &[String]) -> String {
    let mut out = String::new();
    let first = |prefix: &str| lines(offer).find(|line| line.starts_with(prefix));
    for prefix in ["a=group:BUNDLE", "m=", "a=mid:", "a=ice-ufrag:", "a=ice-pwd:"] {
        if let Some(found) = first(prefix) {
            line(&mut out, found);
        }
    }
    for candidate in candidates {
        line(&mut out, &format!("a={candidate}"));
    }
    out
}

/// An answer with the other side's new ICE session in it; `None` when the fragment names none.
pub(super) fn renewed(answer: &str, fragment: &str) -> Option<String> {
    let ufrag = lines(fragment).find(|line| line.starts_with("a=ice-ufrag:"))?;
    let password = lines(fragment).find(|line| line.starts_with("a=ice-pwd:"))?;
    let mut out = String::with_capacity(answer.len());
    for text in lines(answer) {
        if text.starts_with("a=ice-ufrag:") {
            line(&mut out, ufrag);
        } else if text.starts_with("a=ice-pwd:") {
            line(&mut out, password);
        } else if !text.starts_with("a=candidate:") && text != "a=end-of-candidates" {
            line(&mut out, text);
        }
    }
    let candidates = lines(fragment).filter_map(|line| line.strip_prefix("a=")).filter(|l| l.starts_with("candidate:"));
    Some(with_candidates(&out, &candidates.map(str::to_owned).collect::<Vec<_>>()))
}

/// The candidate line in a candidate as the peer connection tells it, JSON of an RTCIceCandidateInit.
pub(super) fn candidate(json: &str) -> Option<String> {
    let init: serde_json::Value = serde_json::from_str(json).ok()?;
    init.get("candidate")?.as_str().filter(|line| line.starts_with("candidate:")).map(str::to_owned)
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty())
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTION: &str = "v=0\r\na=group:BUNDLE 0 1\r\nm=audio 9 X 111\r\na=mid:0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n\
        m=video 9 X 96\r\na=mid:1\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n";

    fn candidates() -> Vec<String> {
        vec!["candidate:1 1 udp 9 10.0.0.2 5000 typ host".to_owned()]
    }

    #[test]
    fn candidates_stand_in_the_first_section() {
        let expected = DESCRIPTION.replace("m=video", "a=candidate:1 1 udp 9 10.0.0.2 5000 typ host\r\nm=video");
        assert_eq!(with_candidates(DESCRIPTION, &candidates()), expected);
        assert_eq!(with_candidates(&expected, &candidates()), expected, "once");
        let single = "v=0\r\nm=audio 9 X 111\r\n";
        let expected = "v=0\r\nm=audio 9 X 111\r\na=candidate:1 1 udp 9 10.0.0.2 5000 typ host\r\n";
        assert_eq!(with_candidates(single, &candidates()), expected);
    }

    #[test]
    fn a_fragment_tells_one_ice_session() {
        let expected = "a=group:BUNDLE 0 1\r\nm=audio 9 X 111\r\na=mid:0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n\
            a=candidate:1 1 udp 9 10.0.0.2 5000 typ host\r\n";
        assert_eq!(of_offer(DESCRIPTION, &candidates()), expected);
    }

    #[test]
    fn a_restart_replaces_the_other_sides_ice_session_and_nothing_else() {
        let before = with_candidates(DESCRIPTION, &candidates());
        let fragment = "a=ice-ufrag:n\r\na=ice-pwd:q\r\nm=audio 9 X 111\r\na=mid:0\r\na=candidate:2 1 udp 9 10.0.0.9 1 typ host\r\n";
        let expected = DESCRIPTION
            .replace("ufrag:u", "ufrag:n")
            .replace("pwd:p", "pwd:q")
            .replace("m=video", "a=candidate:2 1 udp 9 10.0.0.9 1 typ host\r\nm=video");
        assert_eq!(renewed(&before, fragment), Some(expected));
        assert_eq!(renewed(&before, "a=mid:0\r\n"), None);
    }

    #[test]
    fn candidates_are_read_from_json() {
        assert_eq!(
            candidate(r#"{"candidate":"candidate:1 1 udp","sdpMid":"0"}"#).as_deref(),
            Some("candidate:1 1 udp")
        );
        for json in ["", "{}", r#"{"candidate":""}"#, r#"{"candidate":7}"#] {
            assert_eq!(candidate(json), None, "{json}");
        }
    }
}
