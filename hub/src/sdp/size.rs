//! How large a session description may be. Reading one compares its lines with each other, and somebody could send one that takes
//! minutes.

use super::lines;

/// Sections: a room of 250 people who all show their picture.
const SECTIONS: usize = 512;
/// Lines of one section: a browser's picture with all of its formats has about 150.
const LINES: usize = 1_024;
/// Formats of one section: there are only so many payload types (RFC 3550, section 5.1).
const FORMATS: usize = 128;
/// ICE candidates of all sections: browsers repeat theirs in each.
const CANDIDATES: usize = 4_096;

/// Whether a description may be read; the error is what it has too much of.
pub fn check_size(sdp: &str) -> Result<(), &'static str> {
    let (mut sections, mut lines_of_one, mut candidates) = (0, 0, 0);
    for line in lines(sdp) {
        lines_of_one += 1;
        if let Some(media) = line.strip_prefix("m=") {
            sections += 1;
            lines_of_one = 0;
            if media.split_whitespace().count() > FORMATS + 3 {
                return Err("128 formats in a section");
            }
        }
        candidates += usize::from(line.starts_with("a=candidate:"));
        match (sections > SECTIONS, lines_of_one > LINES, candidates > CANDIDATES) {
            (true, _, _) => return Err("512 sections"),
            (_, true, _) => return Err("1024 lines in a section"),
            (_, _, true) => return Err("4096 candidates"),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_rooms_pass_and_what_would_take_minutes_does_not() {
        let section = format!("m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n{}", "a=rtcp-fb:96 nack\r\n".repeat(150));
        let formats = (0..200).map(|n| format!(" {n}")).collect::<String>();
        let cases = [
            (section.repeat(500), Ok(())),
            (section.repeat(513), Err("512 sections")),
            (format!("v=0\r\n{}", "a=x\r\n".repeat(1_025)), Err("1024 lines in a section")),
            (format!("m=audio 9 X{formats}\r\n"), Err("128 formats in a section")),
            (format!("m=audio 9 X 1\r\n{}", "a=candidate:1\r\n".repeat(1_000)).repeat(5), Err("4096 candidates")),
        ];
        for (sdp, expected) in cases {
            assert_eq!(check_size(&sdp), expected, "{}", &sdp[..20]);
        }
    }
}
