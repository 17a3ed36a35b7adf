//! Repetitions in the other side's DTLS handshake, which the crate must not see.
//!
//! When a flight of ours is lost, the other side repeats its own until ours comes (RFC 6347 §4.2.4). The crate takes every repetition for
//! news: it stops its own timer, finds nothing new, and never repeats what was lost. Both sides then wait for each other until somebody
//! gives up. Without the repetition its timer goes on, and a second later it repeats its flight.

use std::collections::BTreeSet;

/// DTLS record content type of handshake messages, RFC 6347 §4.1.
const HANDSHAKE: u8 = 22;
/// The first handshake message, which a server answers without remembering that it did (RFC 6347 §4.2.1). The next one, with the cookie
/// of the answer, has the number 1.
const CLIENT_HELLO: u8 = 1;
/// Bytes of a record's header, and of a handshake message's.
const RECORD_HEADER: usize = 13;
const MESSAGE_HEADER: usize = 12;
/// More fragments than any handshake has.
const MOST: usize = 256;

/// Which part of which message: its number, the fragment's offset and length.
type Fragment = (u16, u32, u32);

/// What has been received of a handshake.
#[derive(Debug, Default)]
pub(super) struct Repetitions {
    seen: BTreeSet<Fragment>,
    /// The other side has the keys: from now on a repetition asks for our last flight.
    over: bool,
}

impl Repetitions {
    /// Whether a datagram holds nothing but parts of the handshake that came before.
    pub(super) fn is_one(&mut self, datagram: &[u8]) -> bool {
        // DTLS has the first bytes 20 to 63, RFC 7983.
        if self.over || !datagram.first().is_some_and(|first| (20..64).contains(first)) {
            return false;
        }
        let Some(fragments) = fragments(datagram) else {
            self.over = true;
            self.seen.clear();
            return false;
        };
        let mut known = true;
        for (kind, fragment) in fragments {
            if kind == CLIENT_HELLO && fragment.0 == 0 {
                return false;
            }
            if self.seen.len() < MOST {
                known &= !self.seen.insert(fragment);
            } else {
                known &= self.seen.contains(&fragment);
            }
        }
        known
    }
}

/// The handshake's fragments in a datagram, with the kinds of their messages; `None` when there is anything else in it.
fn fragments(mut datagram: &[u8]) -> Option<Vec<(u8, Fragment)>> {
    let mut found = Vec::new();
    while !datagram.is_empty() {
        let (header, rest) = datagram.split_at_checked(RECORD_HEADER)?;
        let (epoch, length) = (number(&header[3..5]), number(&header[11..13]));
        let (mut record, next) = rest.split_at_checked(length as usize)?;
        if header[0] != HANDSHAKE || epoch != 0 {
            return None;
        }
        while !record.is_empty() {
            let (message, body) = record.split_at_checked(MESSAGE_HEADER)?;
            let length = number(&message[9..12]);
            // Number of the message, offset and length of the fragment: RFC 6347 §4.2.2. The number has two bytes.
            found.push((message[0], (number(&message[4..6]) as u16, number(&message[6..9]), length)));
            record = body.get(length as usize..)?;
        }
        datagram = next;
    }
    Some(found)
}

/// An integer in network byte order.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A record of one handshake message with two bytes of body.
    fn record(epoch: u8, sequence: u8, kind: u8, message: u8) -> Vec<u8> {
        let mut bytes = vec![HANDSHAKE, 254, 253, 0, epoch, 0, 0, 0, 0, 0, sequence, 0, 14];
        bytes.extend([kind, 0, 0, 2, 0, message, 0, 0, 0, 0, 0, 2, 7, 7]);
        bytes
    }

    #[test]
    fn a_flight_that_comes_again_is_one_whatever_its_records_number() {
        let mut repetitions = Repetitions::default();
        let flight =
            |first: u8| [record(0, first, 2, 0), record(0, first + 1, 11, 1), record(0, first + 2, 14, 2)].concat();
        assert!(!repetitions.is_one(&flight(0)));
        assert!(repetitions.is_one(&flight(3)));
        assert!(repetitions.is_one(&record(0, 9, 11, 1)), "a part of it");
        assert!(!repetitions.is_one(&[record(0, 9, 11, 1), record(0, 10, 20, 3)].concat()), "something new is with it");
    }

    #[test]
    fn with_the_keys_a_repetition_asks_for_our_last_flight() {
        let mut repetitions = Repetitions::default();
        let flight = [record(0, 1, 11, 1), record(0, 2, 16, 2)].concat();
        assert!(!repetitions.is_one(&flight));
        assert!(!repetitions.is_one(&record(1, 0, 20, 3)));
        assert!(!repetitions.is_one(&flight));
    }

    #[test]
    fn what_is_no_handshake_passes() {
        let mut repetitions = Repetitions::default();
        for bytes in [&[][..], &[0, 1, 0, 0], &[0x80, 96, 0, 1]] {
            assert!(!repetitions.is_one(bytes) && !repetitions.is_one(bytes), "{bytes:?}");
        }
        assert!(!repetitions.is_one(&record(0, 0, 2, 0)) && repetitions.is_one(&record(0, 1, 2, 0)), "it goes on");
    }

    #[test]
    fn a_client_s_first_message_always_passes_and_the_one_with_the_cookie_once() {
        let mut repetitions = Repetitions::default();
        assert!(!repetitions.is_one(&record(0, 0, CLIENT_HELLO, 0)));
        assert!(!repetitions.is_one(&record(0, 1, CLIENT_HELLO, 0)));
        assert!(!repetitions.is_one(&record(0, 2, CLIENT_HELLO, 1)));
        assert!(repetitions.is_one(&record(0, 3, CLIENT_HELLO, 1)));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(datagrams: Vec<Vec<u8>>) {
            let mut repetitions = Repetitions::default();
            for mut datagram in datagrams {
                repetitions.is_one(&datagram);
                datagram.insert(0, HANDSHAKE);
                repetitions.is_one(&datagram);
            }
        }
    }
}
