//! Redundant sound (RFC 2198): each packet repeats what the ones before it carried.
//!
//! Whoever takes it gets it as it is. For the others it is unpacked here, and what was lost on the way to the hub is
//! taken from the packet after it, so that they get more than the publisher's link delivered.

use std::sync::Arc;

/// Packets that may come late: so many before the newest are remembered.
const WINDOW: u64 = 128;
/// A jump of sequence numbers beyond this is a publisher that began anew.
const JUMP: u64 = 10_000;

/// One block of a packet.
#[derive(Debug, PartialEq, Eq)]
struct Block<'a> {
    /// How much older than the packet it is, in its clock's ticks; 0 for what the packet is about.
    offset: u32,
    payload: &'a [u8],
}

/// The blocks of a packet, the oldest first and its own last; `None` when it cannot be read (RFC 2198 section 3).
fn blocks(payload: &[u8]) -> Option<Vec<Block<'_>>> {
    let mut headers = Vec::new();
    let mut rest = payload;
    while let [first, b, c, d, others @ ..] = rest
        && first & 0x80 != 0
    {
        headers.push((u32::from(*b) << 6 | u32::from(*c) >> 2, usize::from(c & 3) << 8 | usize::from(*d)));
        rest = others;
    }
    let (last, mut rest) = rest.split_first()?;
    if last & 0x80 != 0 {
        return None;
    }
    let mut found = Vec::with_capacity(headers.len() + 1);
    for (offset, length) in headers {
        let (payload, others) = rest.split_at_checked(length)?;
        found.push(Block { offset, payload });
        rest = others;
    }
    found.push(Block { offset: 0, payload: rest });
    (!rest.is_empty()).then_some(found)
}

/// A packet whose blocks are all of payload type `to`: payload types are agreed on with each peer by itself.
pub fn with_payload_type(payload: &Arc<[u8]>, to: u8) -> Arc<[u8]> {
    let header = |at: usize| payload.get(at).copied();
    let wrong = |at: usize| header(at).is_some_and(|head| head & 0x7f != to);
    let mut at = 0;
    let mut heads = Vec::new();
    while header(at).is_some_and(|head| head & 0x80 != 0) {
        heads.push(at);
        at += 4;
    }
    heads.push(at);
    if !heads.iter().any(|at| wrong(*at)) {
        return Arc::clone(payload);
    }
    let mut changed = payload.to_vec();
    for at in heads {
        if let Some(head) = changed.get_mut(at) {
            *head = *head & 0x80 | to & 0x7f;
        }
    }
    changed.into()
}

/// A piece of sound to send in a packet of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sound<'a> {
    /// Sequence number (extended) of the packet that it was sent in first.
    pub sequence: u64,
    /// How much older than the packet that brought it, in its clock's ticks.
    pub age: u32,
    /// The sound.
    pub payload: &'a [u8],
}

/// Which packets of a publisher went on, so that each goes once: by itself, or by another that repeats it.
#[derive(Debug, Default)]
pub struct Recovery {
    newest: Option<u64>,
    /// Bit n: what is n before the newest went on.
    sent: u128,
    /// Sequence number and timestamp of the newest sound.
    sound: Option<(u64, u32)>,
}

impl Recovery {
    /// What of a packet with redundancy goes on, in the order in which it is to be sent: what is missing right before it, and its own.
    pub fn unpack<'a>(&mut self, sequence: u64, timestamp: u32, payload: &'a [u8]) -> Vec<Sound<'a>> {
        // Padding, by which a publisher measures its bandwidth, has a number that would be missed.
        if payload.is_empty() {
            return self.pass(sequence).then_some(Sound { sequence, age: 0, payload }).into_iter().collect();
        }
        let Some(mut blocks) = blocks(payload) else { return Vec::new() };
        let own = blocks.pop();
        let before = self.sound.filter(|(last, _)| sequence > *last && sequence - *last <= JUMP);
        let goes = self.take(sequence, timestamp);
        let mut sounds = Vec::new();
        if let (Some((last, last_timestamp)), true) = (before, goes) {
            let (packets, ticks) = (sequence - last, timestamp.wrapping_sub(last_timestamp));
            let mut below = sequence;
            for (place, block) in (1..).zip(blocks.iter().rev()) {
                let number = sequence.saturating_sub(distance(block.offset, place, packets, ticks)).min(below - 1);
                // Padding may lie between. What is not younger than the last sound that came is that one, or came before it.
                let missing = (last + 1..=number).rev().find(|number| !self.has(*number));
                if let Some(number) = missing.filter(|_| block.offset < ticks && !block.payload.is_empty()) {
                    self.pass(number);
                    sounds.push(Sound { sequence: number, age: block.offset, payload: block.payload });
                    below = number;
                }
            }
            sounds.reverse();
        }
        sounds.extend(own.filter(|_| goes).map(|block| Sound { sequence, age: 0, payload: block.payload }));
        sounds
    }

    /// Whether a packet of sound goes on: not when it did already. To be asked for packets without redundancy, too.
    pub fn take(&mut self, sequence: u64, timestamp: u32) -> bool {
        let goes = self.pass(sequence);
        if self.sound.is_none_or(|(last, _)| sequence > last || last - sequence > JUMP) {
            self.sound = Some((sequence, timestamp));
        }
        goes
    }

    /// Whether the packet went on, or is too old to be known.
    fn has(&self, sequence: u64) -> bool {
        let late = self.newest.and_then(|newest| newest.checked_sub(sequence));
        late.is_some_and(|late| late >= WINDOW || self.sent >> late & 1 == 1)
    }

    /// Lets a packet go on, unless it did.
    fn pass(&mut self, sequence: u64) -> bool {
        match self.newest {
            Some(newest) if newest.abs_diff(sequence) > JUMP => (self.newest, self.sent) = (Some(sequence), 1),
            Some(newest) if sequence > newest => {
                let by = sequence - newest;
                self.sent = if by < WINDOW { self.sent << by | 1 } else { 1 };
                self.newest = Some(sequence);
            }
            Some(_) if self.has(sequence) => return false,
            Some(newest) => self.sent |= 1 << (newest - sequence),
            None => (self.newest, self.sent) = (Some(sequence), 1),
        }
        true
    }
}

/// How many packets before the one that repeats it a block was sent, when it is the block at `place` from the end and
/// the last packet that came was `packets` before, `ticks` of time. Where packets are evenly spaced its age says it;
/// over a pause (discontinuous transmission) its place does.
fn distance(age: u32, place: u64, packets: u64, ticks: u32) -> u64 {
    let (age, ticks) = (u64::from(age), u64::from(ticks));
    if ticks % packets == 0 && ticks > 0 && age % (ticks / packets) == 0 && age > 0 {
        return age / (ticks / packets);
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks of one packet.
    const STEP: u32 = 960;

    /// A packet of sound `own` that repeats `older` (age and sound), the oldest first.
    fn packet(older: &[(u32, u8)], own: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (offset, _) in older {
            bytes.extend([0x80 | 111, (offset >> 6) as u8, (offset << 2) as u8 & 0xfc, 2]);
        }
        bytes.push(111);
        older.iter().for_each(|(_, sound)| bytes.extend([*sound; 2]));
        bytes.extend([own; 3]);
        bytes
    }

    /// Number, timestamp and sound of what goes on of packets that are evenly spaced and repeat `depth` before them.
    fn sent(numbers: &[u64], depth: u32) -> Vec<(u64, u32, u8)> {
        let mut recovery = Recovery::default();
        let mut all = Vec::new();
        for number in numbers {
            let older: Vec<_> =
                (1..=depth).rev().map(|back| (back * STEP, (*number - u64::from(back)) as u8)).collect();
            let timestamp = (*number as u32).wrapping_mul(STEP);
            let bytes = packet(&older, *number as u8);
            let sounds = recovery.unpack(*number, timestamp, &bytes);
            all.extend(sounds.iter().map(|s| (s.sequence, timestamp.wrapping_sub(s.age), s.payload[0])));
        }
        all
    }

    fn numbers(came: &[u64], depth: u32) -> Vec<u64> {
        let sent = sent(came, depth);
        for (number, timestamp, sound) in &sent {
            assert_eq!(*timestamp, (*number as u32).wrapping_mul(STEP), "the time of {number}");
            assert_eq!(*sound, *number as u8, "the sound of {number}");
        }
        sent.into_iter().map(|(number, _, _)| number).collect()
    }

    #[test]
    fn what_is_missing_is_taken_from_the_packet_after_it_and_each_goes_once() {
        let cases: &[(&str, &[u64], u32, &[u64])] = &[
            ("nothing is lost", &[100, 101, 102], 1, &[100, 101, 102]),
            ("the first packet brings nothing older", &[100], 2, &[100]),
            ("one is lost", &[100, 102, 103], 1, &[100, 101, 102, 103]),
            ("two are lost and one is repeated", &[100, 103], 1, &[100, 102, 103]),
            ("two are lost and both repeated", &[100, 103], 2, &[100, 101, 102, 103]),
            ("many are lost", &[100, 110], 2, &[100, 108, 109, 110]),
            ("it comes after it was recovered", &[100, 102, 101, 103], 1, &[100, 101, 102, 103]),
            ("it comes late and was not recovered", &[100, 103, 101, 102], 1, &[100, 102, 103, 101]),
            ("it comes twice", &[100, 101, 101, 102, 100], 1, &[100, 101, 102]),
            ("it comes very late", &[100, 270, 101], 1, &[100, 269, 270]),
            ("numbers wrap", &[65_534, 65_536, 65_538], 1, &[65_534, 65_535, 65_536, 65_537, 65_538]),
            ("the publisher begins anew", &[50_000, 300, 302], 1, &[50_000, 300, 301, 302]),
            ("without redundancy", &[100, 102, 101], 0, &[100, 102, 101]),
        ];
        for (what, came, depth, expected) in cases {
            assert_eq!(numbers(came, *depth), *expected, "{what}");
        }
    }

    #[test]
    fn redundancy_that_skips_packets_is_placed_by_its_time() {
        let mut recovery = Recovery::default();
        recovery.take(100, 0);
        let bytes = packet(&[(2 * STEP, 1)], 3);
        let found: Vec<_> = recovery.unpack(103, 3 * STEP, &bytes).iter().map(|s| (s.sequence, s.payload[0])).collect();
        assert_eq!(found, [(101, 1), (103, 3)]);
    }

    /// The numbers' distance, ticks, blocks, and what goes on.
    type Pause<'a> = (u64, u32, &'a [(u32, u8)], &'a [(u64, u32)]);

    #[test]
    fn over_a_pause_of_the_sound_timestamps_jump_and_numbers_do_not() {
        let far = 20 * STEP;
        let cases: &[Pause<'_>] = &[
            (1, far, &[], &[(101, 0)]),
            // Its redundancy is the packet before the pause, which came.
            (1, 8 * STEP, &[(8 * STEP, 1)], &[(101, 0)]),
            (2, far, &[(STEP, 1)], &[(101, STEP), (102, 0)]),
            (2, 9 * STEP, &[(8 * STEP, 1)], &[(101, 8 * STEP), (102, 0)]),
            (3, far + STEP, &[(2 * STEP, 1), (STEP, 2)], &[(101, 2 * STEP), (102, STEP), (103, 0)]),
            // Older than the last one that came, whatever its place says.
            (3, 4 * STEP, &[(7 * STEP, 1), (STEP, 2)], &[(102, STEP), (103, 0)]),
        ];
        for (distance, ticks, older, expected) in cases {
            let mut recovery = Recovery::default();
            let start = u32::MAX - 5;
            recovery.take(100, start);
            let bytes = packet(older, 9);
            let found = recovery.unpack(100 + distance, start.wrapping_add(*ticks), &bytes);
            let found: Vec<_> = found.iter().map(|s| (s.sequence, s.age)).collect();
            assert_eq!(found, *expected, "{distance} on, {ticks} ticks later, {older:?}");
        }
    }

    #[test]
    fn plain_packets_between_are_not_sent_twice() {
        let mut recovery = Recovery::default();
        assert!(recovery.take(100, 0));
        let bytes = packet(&[(STEP, 1)], 2);
        assert_eq!(recovery.unpack(102, 2 * STEP, &bytes).len(), 2);
        assert!(!recovery.take(101, STEP), "it was recovered");
        assert!(recovery.take(103, 3 * STEP));
    }

    #[test]
    fn padding_leaves_no_gap_and_moves_no_sound() {
        let mut recovery = Recovery::default();
        recovery.take(100, 0);
        for number in [101, 102] {
            assert_eq!(recovery.unpack(number, 0, &[]), [Sound { sequence: number, age: 0, payload: &[] }]);
        }
        assert_eq!(recovery.unpack(102, 0, &[]), [], "it goes once");
        // 103 is sound and lost, and the next brings it; padding comes between.
        assert_eq!(recovery.unpack(104, STEP, &[]).len(), 1);
        let bytes = packet(&[(STEP, 1)], 2);
        let found: Vec<_> = recovery.unpack(105, 2 * STEP, &bytes).iter().map(|s| (s.sequence, s.age)).collect();
        assert_eq!(found, [(103, STEP), (105, 0)]);
        // 106 is padding and lost: what the next repeats has come.
        assert_eq!(recovery.unpack(107, 3 * STEP, &bytes).len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_no_sound() {
        let cases: &[&[u8]] = &[
            &[111],
            &[0xef],
            &[0xef, 0, 4],
            &[0xef, 0, 4, 1],
            &[0xef, 0, 4, 1, 0xef],
            &[0xef, 0, 4, 9, 111, 1, 2],
            &[0xef, 0, 4, 2, 111, 1, 2],
        ];
        for bytes in cases {
            assert_eq!(Recovery::default().unpack(7, 0, bytes), [], "{bytes:x?}");
        }
        let fits = [0xef, 0, 4, 2, 111, 1, 2, 3];
        assert_eq!(blocks(&fits).expect("readable")[0], Block { offset: 1, payload: &[1, 2] });
    }

    #[test]
    fn blocks_get_the_payload_type_that_their_receiver_knows() {
        let bytes: Arc<[u8]> = packet(&[(960, 1), (480, 2)], 3).into();
        assert!(Arc::ptr_eq(&with_payload_type(&bytes, 111), &bytes), "nothing is to be changed");
        let changed = with_payload_type(&bytes, 109);
        assert_eq!((changed[0], changed[4], changed[8]), (0x80 | 109, 0x80 | 109, 109));
        assert_eq!((&changed[1..4], &changed[9..]), (&bytes[1..4], &bytes[9..]));
        for broken in [&[][..], &[0xef][..], &[0xef, 1, 2, 3][..]] {
            with_payload_type(&broken.into(), 109);
        }
    }
}
