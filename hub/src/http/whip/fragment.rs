//! Parts of session descriptions that carry ICE only (RFC 8840, section 9; RFC 9725, section 4.3), and what they ask for.

use axum::http::StatusCode;

use super::problem::Problem;

/// Candidates of one request; more are of no use.
const CANDIDATES: usize = 64;

/// Name and password of one ICE session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`.
    pub password: String,
}

impl Credentials {
    /// The first credentials of a description or a fragment.
    pub fn read(text: &str) -> Option<Credentials> {
        let first = |prefix: &str| lines(text).find_map(|line| line.strip_prefix(prefix)).map(str::to_owned);
        Some(Credentials { ufrag: first("a=ice-ufrag:")?, password: first("a=ice-pwd:")? })
    }

    /// The entity tag of the ICE session that the hub has these credentials for.
    pub fn etag(&self) -> String {
        // RFC 8839, section 5.4: letters, digits, `+` and `/`.
        format!("\"{}\"", self.ufrag)
    }
}

/// A fragment that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    credentials: Option<Credentials>,
    candidates: Vec<String>,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// More ways to the client: candidate lines without `a=`.
    Trickle(Vec<String>),
    /// Another ICE session, with the first ways of it.
    Restart(Credentials, Vec<String>),
}

impl Fragment {
    /// Reads a fragment. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Fragment, String> {
        if let Some(line) = lines(text).find(|line| !line.starts_with("a=") && !line.starts_with("m=")) {
            let line: String = line.chars().take(40).collect();
            return Err(format!("'{line}' is no line of an SDP fragment, which has only a= and m= lines (RFC 8840)"));
        }
        let named = |prefix: &str| lines(text).any(|line| line.starts_with(prefix));
        let credentials = Credentials::read(text);
        if credentials.is_none() && (named("a=ice-ufrag:") || named("a=ice-pwd:")) {
            return Err("The fragment has only one of a=ice-ufrag and a=ice-pwd".to_owned());
        }
        let candidates = lines(text).filter_map(|line| line.strip_prefix("a=")).filter(|l| l.starts_with("candidate:"));
        let candidates: Vec<String> = candidates.take(CANDIDATES).map(str::to_owned).collect();
        if credentials.is_none() && candidates.is_empty() && !named("a=end-of-candidates") {
            return Err("The fragment has neither candidates nor credentials".to_owned());
        }
        Ok(Fragment { credentials, candidates })
    }

    /// What it asks of a session whose entity tag is `etag` and whose client has the credentials `current`.
    pub fn judge(self, if_match: Option<&str>, etag: &str, current: &Credentials) -> Result<Change, Problem> {
        let Some(if_match) = if_match else {
            let detail = "If-Match is missing: it names the ETag of the last answer, or * to restart ICE";
            return Err(Problem::request(StatusCode::PRECONDITION_REQUIRED, detail));
        };
        let bare = etag.trim_matches('"');
        // Some clients leave out the quotes.
        let known = |tag: &str| tag == etag || tag == bare;
        if if_match.trim() != "*" && !if_match.split(',').map(str::trim).any(known) {
            let detail = format!("If-Match is {if_match}, but this session's ETag is {etag} now");
            return Err(Problem::request(StatusCode::PRECONDITION_FAILED, &detail));
        }
        match self.credentials {
            Some(credentials) if credentials != *current => Ok(Change::Restart(credentials, self.candidates)),
            _ => Ok(Change::Trickle(self.candidates)),
        }
    }
}

/// A client's description for another ICE session: everything else stays as it was.
pub fn renew(offer: &str, credentials: &Credentials) -> String {
    let mut renewed = String::with_capacity(offer.len());
    for line in lines(offer) {
        if line.starts_with("a=candidate:") || line == "a=end-of-candidates" {
            continue;
        }
        if line.starts_with("a=ice-ufrag:") {
            renewed += &format!("a=ice-ufrag:{}\r\n", credentials.ufrag);
        } else if line.starts_with("a=ice-pwd:") {
            renewed += &format!("a=ice-pwd:{}\r\n", credentials.password);
        } else {
            renewed += line;
            renewed += "\r\n";
        }
    }
    renewed
}

/// The fragment that tells a client of the hub's side of a new ICE session, out of the whole answer.
pub fn of_answer(answer: &str) -> String {
    let first = lines(answer).position(|line| line.starts_with("m=")).unwrap_or(usize::MAX);
    let next = lines(answer).skip(first.saturating_add(1)).position(|line| line.starts_with("m="));
    let end = next.map_or(usize::MAX, |next| first.saturating_add(1 + next));
    let mut fragment = String::new();
    let mut put = |line: &str| {
        fragment += line;
        fragment += "\r\n";
    };
    let wanted = ["a=ice-lite", "a=ice-options:", "a=group:BUNDLE"];
    lines(answer).take(first).filter(|line| wanted.iter().any(|w| line.starts_with(w))).for_each(&mut put);
    let section = || lines(answer).take(end).skip(first);
    section().take(1).for_each(&mut put);
    section().filter(|line| line.starts_with("a=mid:")).for_each(&mut put);
    if let Some(credentials) = Credentials::read(answer) {
        put(&format!("a=ice-ufrag:{}", credentials.ufrag));
        put(&format!("a=ice-pwd:{}", credentials.password));
    }
    section().filter(|line| line.starts_with("a=candidate:")).for_each(&mut put);
    put("a=end-of-candidates");
    fragment
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').map(|line| line.trim_end_matches('\r')).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(ufrag: &str) -> Credentials {
        Credentials { ufrag: ufrag.to_owned(), password: format!("{ufrag}-password") }
    }

    fn fragment(ufrag: &str) -> Fragment {
        let text = format!(
            "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:{ufrag}\r\n\
             a=ice-pwd:{ufrag}-password\r\na=candidate:1 1 udp 1 192.0.2.1 61764 typ host\r\na=end-of-candidates\r\n"
        );
        Fragment::parse(&text).expect("good")
    }

    #[test]
    fn what_a_fragment_asks_for_depends_on_its_tag_and_its_credentials() {
        let trickle = Ok("trickle");
        let restart = Ok("restart");
        let cases = [
            (None, "old", Err(428)),
            (Some("\"tag\""), "old", trickle),
            (Some("tag"), "old", trickle),
            (Some("\"other\", \"tag\""), "old", trickle),
            (Some("*"), "old", trickle),
            (Some("*"), "new", restart),
            (Some("\"tag\""), "new", restart),
            (Some("\"other\""), "old", Err(412)),
            (Some("\"other\""), "new", Err(412)),
        ];
        for (if_match, ufrag, expected) in cases {
            let judged = fragment(ufrag).judge(if_match, "\"tag\"", &credentials("old"));
            let judged = judged.map_err(|problem| problem.status().as_u16()).map(|change| match change {
                Change::Trickle(candidates) => {
                    assert_eq!(candidates, ["candidate:1 1 udp 1 192.0.2.1 61764 typ host"]);
                    "trickle"
                }
                Change::Restart(given, _) => {
                    assert_eq!(given, credentials("new"));
                    "restart"
                }
            });
            assert_eq!(judged, expected, "{if_match:?} {ufrag}");
        }
    }

    #[test]
    fn what_is_no_fragment_is_an_error_that_names_the_line() {
        for (text, named) in [
            ("", "neither candidates"),
            ("hello\r\n", "'hello'"),
            ("v=0\r\na=candidate:1\r\n", "'v=0'"),
            ("a=ice-ufrag:x\r\n", "only one"),
            ("a=mid:0\r\n", "neither candidates"),
        ] {
            let error = Fragment::parse(text).expect_err(text);
            assert!(error.contains(named), "{text:?}: {error}");
        }
        assert!(Fragment::parse("a=end-of-candidates\n").is_ok());
    }

    #[test]
    fn a_client_that_restarts_keeps_everything_but_its_ice_session() {
        let offer = "v=0\r\na=ice-ufrag:a\r\nm=audio 9 X 0\r\na=ice-ufrag:a\r\na=ice-pwd:b\r\na=candidate:1 1 udp 1 a 1 typ host\r\n\
            a=end-of-candidates\r\na=mid:0\r\n";
        let renewed = renew(offer, &credentials("n"));
        let expected = "v=0\r\na=ice-ufrag:n\r\nm=audio 9 X 0\r\na=ice-ufrag:n\r\na=ice-pwd:n-password\r\na=mid:0\r\n";
        assert_eq!(renewed, expected);
    }

    #[test]
    fn the_hubs_side_of_a_new_ice_session_is_told_without_the_rest() {
        let answer = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\na=group:BUNDLE 0 1\r\na=ice-options:trickle\r\nm=audio 9 X 111\r\na=mid:0\r\n\
            a=ice-ufrag:u\r\na=ice-pwd:p\r\na=candidate:1 1 udp 1 a 1 typ host\r\na=recvonly\r\nm=video 9 X 96\r\na=mid:1\r\n\
            a=ice-ufrag:u\r\na=ice-pwd:p\r\n";
        let expected = "a=group:BUNDLE 0 1\r\na=ice-options:trickle\r\nm=audio 9 X 111\r\na=mid:0\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n\
            a=candidate:1 1 udp 1 a 1 typ host\r\na=end-of-candidates\r\n";
        assert_eq!(of_answer(answer), expected);
        assert!(Fragment::parse(&of_answer(answer)).is_ok());
        assert!(Fragment::parse(&of_answer("")).is_ok(), "an answer without sections makes no panic");
    }
}
