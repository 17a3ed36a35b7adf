//! What a server says: sentences that may end with ZEGO's code in brackets.

use zego_protocol::error::code_of;

/// A sentence with its code taken off the end; `otherwise` is the code of one that has none.
pub(super) fn split(sentence: &str, otherwise: i32) -> (i32, String) {
    let sentence = sentence.trim();
    match code_of(sentence) {
        Some(code) => {
            let text = sentence.rsplit_once(" [").map_or(sentence, |(text, _)| text);
            (code, text.to_owned())
        }
        None => (otherwise, sentence.to_owned()),
    }
}
