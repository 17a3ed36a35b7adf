//! What endpoints answer, for the targets in `fuzz/`.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use super::http::Answer;
use super::reply::{End, refusal};
use super::{Direction, fragment, link};

/// An answer with its status, `Retry-After`, `Link` and body, to a publisher and to a player.
pub fn endpoint_answer(status: u16, retry_after: &str, links: &str, body: &str) {
    assert!(link::ice_servers(links.lines()).iter().all(|server| server.urls.len() == 1));
    if let Some(renewed) = fragment::renewed(body, links) {
        let sections = |text: &str| text.lines().filter(|line| line.starts_with("m=")).count();
        assert_eq!(sections(&renewed), sections(body), "sections come and go:\n{renewed}");
    }
    let _ = (fragment::of_offer(body, &[links.to_owned()]), fragment::candidate(body));
    // A token is hidden where it stands in a text; one of a few characters stands everywhere.
    let token = if links.len() < 16 { "" } else { links };
    let Ok(url) = Url::parse("http://endpoint/whip") else { return };
    let headers = HeaderMap::from_iter(HeaderValue::from_str(retry_after).map(|value| (RETRY_AFTER, value)));
    let answer = Answer { status, headers, body: body.to_owned(), url };
    for direction in [Direction::Publish, Direction::Play] {
        let (End::Refused { message: told, .. } | End::Again { why: told, .. }) = refusal(direction, token, &answer)
        else {
            continue;
        };
        assert!(told.chars().count() < 1000, "a message for people: {told}");
    }
}
