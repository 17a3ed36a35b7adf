//! What WHIP's and WHEP's clients send, for the targets in `fuzz/`.

use super::fragment::{Change, Credentials, Fragment, of_answer, renew};
use super::offer::{publishing, watching};
use crate::sdp;

/// An offer, as a publisher's and as a player's.
pub fn offer(text: &str) {
    let sections = sdp::sections(text).len();
    for offered in [publishing(text, ""), publishing(text, "door"), watching(text)].into_iter().flatten() {
        assert!(offered.tracks.len() <= 2, "one track of sound and one of pictures");
        assert_eq!(sdp::sections(&offered.sdp).len(), sections, "sections come and go");
    }
}

/// The body of a PATCH and its `If-Match`, of a session that began with `offer`.
pub fn fragment(offer: &str, body: &str, if_match: Option<&str>) {
    let current = Credentials::read(offer).unwrap_or_default();
    let told = of_answer(offer);
    assert!(Fragment::parse(&told).is_ok(), "what the hub writes can be read:\n{told}");
    let Ok(fragment) = Fragment::parse(body) else { return };
    if let Ok(Change::Restart(credentials, _)) = fragment.judge(if_match, &current.etag(), &current) {
        let renewed = renew(offer, &credentials);
        if !current.ufrag.is_empty() {
            assert_eq!(Credentials::read(&renewed), Some(credentials), "another session is not taken over:\n{renewed}");
        }
    }
}
