//! Parameters of Opus in a section (`a=fmtp`, RFC 7587 section 6.1): what the signalling reads of them and what it adds.

/// Whether a format (what follows `a=fmtp:`) has just this parameter: `stereo=1` is also how `sprop-stereo=1` ends.
pub fn has_parameter(format: &str, wanted: &str) -> bool {
    let parameters = format.split_once(' ').map_or("", |(_, parameters)| parameters);
    parameters.split(';').any(|parameter| parameter.trim() == wanted)
}

/// What is to be said of the Opus in one section.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Opus {
    /// Two channels, in both directions: `stereo=1` and `sprop-stereo=1`.
    pub stereo: bool,
    /// Discontinuous transmission: whoever sends may stop while it is silent, `usedtx=1`.
    pub dtx: bool,
}

impl Opus {
    /// How the format line of a section's Opus begins, if something is to be said of it and the section has it.
    pub fn format_of(self, section: &[&str]) -> Option<String> {
        if self == Opus::default() {
            return None;
        }
        section.iter().find_map(|line| {
            let (payload_type, codec) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
            codec.to_ascii_lowercase().starts_with("opus/").then(|| format!("a=fmtp:{payload_type} "))
        })
    }

    /// A format line that says it. An answer may have some of it already, from the offer: nothing is said twice.
    pub fn complete(self, line: &str) -> String {
        let (head, parameters) = line.split_once(' ').unwrap_or((line, ""));
        let mut all: Vec<&str> = parameters.split(';').map(str::trim).filter(|p| !p.is_empty()).collect();
        for wanted in self.parameters().filter(|wanted| !has_parameter(line, wanted)) {
            let name = wanted.split('=').next();
            all.retain(|parameter| parameter.split('=').next() != name);
            all.push(wanted);
        }
        format!("{head} {}", all.join(";"))
    }

    fn parameters(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.stereo, "stereo=1"), (self.stereo, "sprop-stereo=1"), (self.dtx, "usedtx=1")];
        all.into_iter().filter(|(said, _)| *said).map(|(_, parameter)| parameter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEREO: Opus = Opus { stereo: true, dtx: false };
    const DTX: Opus = Opus { stereo: false, dtx: true };

    #[test]
    fn every_parameter_is_said_once() {
        let both = Opus { stereo: true, dtx: true };
        for (opus, line, expected) in [
            (STEREO, "a=fmtp:111 minptime=10", "a=fmtp:111 minptime=10;stereo=1;sprop-stereo=1"),
            (STEREO, "a=fmtp:111 minptime=10;stereo=1", "a=fmtp:111 minptime=10;stereo=1;sprop-stereo=1"),
            (STEREO, "a=fmtp:111 stereo=1;sprop-stereo=1", "a=fmtp:111 stereo=1;sprop-stereo=1"),
            (STEREO, "a=fmtp:111 sprop-stereo=1", "a=fmtp:111 sprop-stereo=1;stereo=1"),
            (DTX, "a=fmtp:111 minptime=10", "a=fmtp:111 minptime=10;usedtx=1"),
            (DTX, "a=fmtp:111 usedtx=1;minptime=10", "a=fmtp:111 usedtx=1;minptime=10"),
            (DTX, "a=fmtp:111 usedtx=0;minptime=10", "a=fmtp:111 minptime=10;usedtx=1"),
            (both, "a=fmtp:111 ", "a=fmtp:111 stereo=1;sprop-stereo=1;usedtx=1"),
            (Opus::default(), "a=fmtp:111 minptime=10", "a=fmtp:111 minptime=10"),
        ] {
            assert_eq!(opus.complete(line), expected);
            assert_eq!(opus.complete(expected), expected, "saying it again changes nothing");
        }
    }

    #[test]
    fn only_opus_is_spoken_of_and_only_when_there_is_something_to_say() {
        let section = ["m=audio 9 UDP/TLS/RTP/SAVPF 0 111", "a=rtpmap:0 PCMU/8000", "a=rtpmap:111 OPUS/48000/2"];
        assert_eq!(DTX.format_of(&section).as_deref(), Some("a=fmtp:111 "));
        assert_eq!(DTX.format_of(&section[..2]), None);
        assert_eq!(Opus::default().format_of(&section), None);
    }
}
