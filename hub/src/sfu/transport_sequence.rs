//! Transport-wide sequence numbers of the packets that a client sends (draft-holmer-rmcat-transport-wide-cc-extensions-01), looked at
//! before a packet is taken in.
//!
//! str0m 0.25 makes of a number that lies before the first one of all, ten and then 60 000, one close to 2^64. All numbers between the
//! two are missing in its next report, which takes all memory that there is. Packets with such a number are dropped: past the middle of
//! the first cycle there are none. Header extensions are in clear, so the number can be read; whether it is the client's
//! ([`TransportSequence::received`]) is known only when the packet was taken in.

use std::ops::RangeInclusive;

use str0m::rtp::{Extension, ExtensionMap};

/// Half of a cycle of 16 bits: what is further ahead is taken for something that is late.
const HALF: u16 = 1 << 15;
/// What str0m names elements by.
const IDS: RangeInclusive<u8> = 1..=16;
/// Extensions in elements with one byte of header, and with two, whose lowest four bits are free (RFC 8285, section 4).
const ONE_BYTE: u16 = 0xBEDE;
const TWO_BYTES: u16 = 0x1000;

/// What is known of one client's numbers.
#[derive(Debug, Default)]
pub struct TransportSequence {
    /// Elements that carry them, by what was negotiated; a bit for each id.
    carriers: u32,
    /// Elements that carry something else.
    others: u32,
    reach: Reach,
}

/// How far they got.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// There was none.
    #[default]
    Nowhere,
    /// The highest that str0m knows is not less than this. Nobody vouches for a number that is not `authentic`.
    AtLeast { number: u16, authentic: bool },
    /// Past the middle of the first cycle, so that none can lie before its start.
    Past,
}

impl TransportSequence {
    /// Header extensions of a section were negotiated.
    pub fn negotiated(&mut self, extensions: &ExtensionMap) {
        for id in IDS {
            match extensions.lookup(id) {
                Some(Extension::TransportSequenceNumber) => self.carriers |= 1 << id,
                Some(_) => self.others |= 1 << id,
                None => {}
            }
        }
    }

    /// Whether this datagram of the client may be taken in.
    pub fn admits(&mut self, datagram: &[u8]) -> bool {
        if self.reach == Reach::Past {
            return true;
        }
        let carries = |id: u8| {
            let among = |ids: u32| IDS.contains(&id) && ids & 1 << id != 0;
            match self.carriers {
                // Negotiated on no section, so that it is where nothing else is.
                0 => among(!self.others),
                // A client that named two things by one id has put one of them somewhere else.
                carriers if carriers & self.others != 0 => among(u32::MAX),
                carriers => among(carriers),
            }
        };
        let numbers: Vec<u16> =
            elements(datagram).filter(|(id, _)| carries(*id)).filter_map(|(_, value)| first_two(value)).collect();
        let reach = numbers.iter().try_fold(self.reach, |reach, number| reach.with(*number));
        reach.is_some_and(|reach| {
            self.reach = reach;
            true
        })
    }

    /// A packet that is the client's had this number.
    pub fn received(&mut self, number: u16) {
        if let Reach::AtLeast { number: lowest, authentic } = self.reach {
            let number = if authentic { number.max(lowest) } else { number };
            self.reach = if number >= HALF { Reach::Past } else { Reach::AtLeast { number, authentic: true } };
        }
    }
}

impl Reach {
    /// When this number comes; `None` when it lies before the start.
    fn with(self, next: u16) -> Option<Reach> {
        match self {
            Reach::Nowhere => Some(Reach::AtLeast { number: next, authentic: false }),
            Reach::AtLeast { number, .. } if next > number.saturating_add(HALF) => None,
            Reach::AtLeast { number, authentic: false } => {
                Some(Reach::AtLeast { number: number.min(next), authentic: false })
            }
            known => Some(known),
        }
    }
}

fn first_two(value: &[u8]) -> Option<u16> {
    value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// Ids and values of the header extension's elements in an RTP packet (RFC 3550, section 5.3.1; RFC 8285); none of anything else.
fn elements(datagram: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let (form, mut rest) = extension(datagram).unwrap_or((ONE_BYTE, &[]));
    std::iter::from_fn(move || {
        while let [0, padded @ ..] = rest {
            rest = padded;
        }
        let (id, length, value) = match rest {
            // The end, whatever follows.
            [head, ..] if form == ONE_BYTE && head >> 4 == 15 => return None,
            [head, value @ ..] if form == ONE_BYTE => (head >> 4, usize::from(head & 15) + 1, value),
            [id, length, value @ ..] => (*id, usize::from(*length), value),
            _ => return None,
        };
        let (value, after) = value.split_at_checked(length)?;
        rest = after;
        Some((id, value))
    })
}

/// Form and content of an RTP packet's header extension.
fn extension(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let (fixed, rest) = datagram.split_first_chunk::<12>()?;
    // Reports are none (RFC 5761, section 4).
    let is_media = (128..192).contains(&fixed[0]) && !(192..224).contains(&fixed[1]);
    if !is_media || fixed[0] & 0x10 == 0 {
        return None;
    }
    let rest = rest.get(usize::from(fixed[0] & 15) * 4..)?;
    let (&[a, b, c, d], rest) = rest.split_first_chunk::<4>()?;
    let form = u16::from_be_bytes([a, b]);
    let form = if form & 0xFFF0 == TWO_BYTES { TWO_BYTES } else { form };
    let content = rest.get(..usize::from(u16::from_be_bytes([c, d])) * 4)?;
    [ONE_BYTE, TWO_BYTES].contains(&form).then_some((form, content))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A packet with these elements, in the form with one byte of header.
    fn packet(elements: &[(u8, &[u8])]) -> Vec<u8> {
        let mut content = Vec::new();
        for (id, value) in elements {
            content.push(id << 4 | u8::try_from(value.len() - 1).expect("short"));
            content.extend_from_slice(value);
        }
        content.resize(content.len().next_multiple_of(4), 0);
        let words = u16::try_from(content.len() / 4).expect("short");
        let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xBE, 0xDE];
        packet.extend_from_slice(&words.to_be_bytes());
        packet.extend_from_slice(&content);
        packet.extend_from_slice(b"sound");
        packet
    }

    fn numbered(id: u8, number: u16) -> Vec<u8> {
        packet(&[(1, &[60]), (id, &number.to_be_bytes())])
    }

    fn at(id: u8) -> ExtensionMap {
        let mut map = ExtensionMap::empty();
        map.set(1, Extension::AudioLevel);
        map.set(id, Extension::TransportSequenceNumber);
        map
    }

    /// What str0m makes of a number after its highest one; `None` when that lies before zero.
    fn extended(highest: Option<u64>, number: u16) -> Option<u64> {
        let Some(highest) = highest else { return Some(u64::from(number)) };
        let ahead =
            number.wrapping_sub(highest.to_le_bytes()[..2].try_into().map(u16::from_le_bytes).expect("two bytes"));
        if ahead <= HALF {
            Some(highest + u64::from(ahead))
        } else {
            highest.checked_sub(u64::from(ahead.wrapping_neg()))
        }
    }

    #[test]
    fn what_lies_before_the_start_is_dropped() {
        let cases: &[(&[u16], u16, bool)] = &[
            (&[], 60_000, true),
            (&[10], 9, true),
            (&[10], 0, true),
            (&[10], 32_778, true),
            (&[10], 32_779, false),
            (&[10], u16::MAX, false),
            (&[60_000], 10, true),
            (&[10, 20_000, 40_000, 60_000, 3], u16::MAX, true),
            (&[10, 20_000], 60_000, false),
        ];
        for (before, number, expected) in cases {
            let mut sequence = TransportSequence::default();
            sequence.negotiated(&at(5));
            for number in *before {
                assert!(sequence.admits(&numbered(5, *number)));
                sequence.received(*number);
            }
            assert_eq!(sequence.admits(&numbered(5, *number)), *expected, "{number} after {before:?}");
        }
    }

    #[test]
    fn a_number_that_nobody_vouches_for_counts_only_when_it_is_lower() {
        let mut sequence = TransportSequence::default();
        sequence.negotiated(&at(5));
        assert!(sequence.admits(&numbered(5, 50_000)));
        assert!(sequence.admits(&numbered(5, 10)));
        assert!(!sequence.admits(&numbered(5, 50_000)), "the other may have been nobody's");
        sequence.received(10);
        assert!(sequence.admits(&numbered(5, 30_000)));
        assert!(!sequence.admits(&numbered(5, 50_000)));
    }

    #[test]
    fn only_what_carries_the_number_is_looked_at() {
        type Elements<'a> = &'a [(u8, &'a [u8])];
        let far = [0xFF, 0xFF];
        let cases: &[(&str, Option<u8>, Elements<'_>, bool)] = &[
            ("another element", Some(5), &[(6, &far)], true),
            ("the second of two", Some(5), &[(6, &far), (5, &far)], false),
            ("longer than it has to be", Some(5), &[(5, &[0xFF, 0xFF, 0])], false),
            ("cut short", Some(5), &[(5, &[0xFF])], true),
            ("never negotiated, where it may be", None, &[(3, &far)], false),
            ("never negotiated, where another is", None, &[(1, &far)], true),
        ];
        for (what, id, elements, expected) in cases {
            let mut sequence = TransportSequence::default();
            let mut map = ExtensionMap::empty();
            map.set(1, Extension::AudioLevel);
            sequence.negotiated(&id.map_or(map, at));
            assert!(sequence.admits(&numbered(id.unwrap_or(3), 10)));
            assert_eq!(sequence.admits(&packet(elements)), *expected, "{what}");
        }
    }

    #[test]
    fn an_id_that_names_two_things_makes_all_of_them_suspicious() {
        let mut sequence = TransportSequence::default();
        sequence.negotiated(&at(5));
        let mut map = ExtensionMap::empty();
        map.set(5, Extension::RtpMid);
        sequence.negotiated(&map);
        assert!(sequence.admits(&numbered(4, 10)));
        assert!(!sequence.admits(&numbered(4, 60_000)));
    }

    #[test]
    fn two_byte_elements_are_read_and_reports_are_not() {
        let mut sequence = TransportSequence::default();
        sequence.negotiated(&at(5));
        assert!(sequence.admits(&numbered(5, 10)));
        let mut report = numbered(5, 60_000);
        report[1] = 200;
        assert!(sequence.admits(&report));
        let two_bytes = [
            &[0x91, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 9, 0x10, 0x03, 0, 2][..],
            &[0, 1, 0, 5, 2, 0xFF, 0xFF, 0],
        ];
        assert!(!sequence.admits(&two_bytes.concat()));
    }

    proptest! {
        #[test]
        fn str0m_never_gets_a_number_before_the_first(
            numbers in proptest::collection::vec((prop_oneof![Just(0_u16), Just(10), Just(40_000), any::<u16>()], 0..3_u8), 0..60),
        ) {
            let mut sequence = TransportSequence::default();
            sequence.negotiated(&at(5));
            let mut highest = None;
            for (number, fate) in numbers {
                if !sequence.admits(&numbered(5, number)) {
                    continue;
                }
                // Not the client's; padding, of which nothing is told; media.
                if fate == 0 {
                    continue;
                }
                let taken = extended(highest, number);
                prop_assert!(taken.is_some(), "{number} after {highest:?}");
                highest = highest.max(taken);
                if fate == 2 {
                    sequence.received(number);
                }
            }
        }

        #[test]
        fn noise_is_no_danger(datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20)) {
            let mut sequence = TransportSequence::default();
            for datagram in datagrams {
                sequence.admits(&datagram);
            }
        }
    }
}
