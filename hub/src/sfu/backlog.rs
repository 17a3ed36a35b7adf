//! What was written to a peer and has not left it yet.
//!
//! str0m lets out one packet at each turn, and tells only at the next one whether there are others. In a room of eight every fourth turn
//! was for nothing. It is left out when all that was written has left and nothing else is about to: until the client sends something
//! or a timer ends, there can be nothing. And while there is another one its turn begins without asking first for how long it could wait.

use std::time::{Duration, Instant};

/// After a packet str0m wants to be driven at once, which it says by this time.
pub const STEP: Duration = Duration::from_micros(1);

/// Counts what goes in and what comes out.
#[derive(Debug, Default)]
pub struct Backlog {
    /// Packets that were written and have not left.
    packets: usize,
    /// Something left since it was last asked for a time.
    left: bool,
    /// Something left that nobody wrote, so there may be more: it was repeated, or is padding.
    own: bool,
    /// When the state machine wants to be driven while nothing is written. `None` while that is not known.
    rest: Option<Instant>,
    /// Payload types of what is repeated, a bit for each.
    repeats: u128,
}

impl Backlog {
    /// The client negotiated these payload types for what is repeated.
    pub fn negotiated(&mut self, repeats: impl Iterator<Item = u8>) {
        self.repeats = repeats.fold(0, |all, payload_type| all | 1 << (payload_type & 0x7F));
    }

    /// A packet was written.
    pub fn written(&mut self) {
        self.packets += 1;
    }

    /// The client sent something, by which anything may become due.
    pub fn disturbed(&mut self) {
        self.rest = None;
    }

    /// A datagram left; whether a packet that was written is still there, for which it needs another turn.
    pub fn sent(&mut self, datagram: &[u8]) -> bool {
        // Padding comes from source 0 while nothing was repeated yet; reports are no packets of a stream (RFC 5761, section 4).
        let (&[first, second, ..], Some(source)) = (datagram, datagram.get(8..12)) else { return false };
        if !(128..192).contains(&first) || (192..224).contains(&second) {
            return false;
        }
        self.left = true;
        if self.repeats & 1 << (second & 0x7F) != 0 || source == [0; 4] {
            self.own = true;
        } else {
            self.packets = self.packets.saturating_sub(1);
        }
        self.packets > 0
    }

    /// All of its output was taken at `now`, and it wants to be driven at `wanted`; returns when it has to be.
    pub fn wake_at(&mut self, wanted: Instant, now: Instant) -> Instant {
        let left = std::mem::take(&mut self.left);
        if wanted > now + STEP {
            // Not all that is written is sent: a stream may end before.
            (self.packets, self.own, self.rest) = (0, false, Some(wanted));
            return wanted;
        }
        let is_empty = left && self.packets == 0 && !self.own;
        self.rest.filter(|rest| is_empty && *rest > now).unwrap_or(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESEND: u8 = 97;
    const MEDIA: &[u8] = &[0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1];
    const REPEATED: &[u8] = &[0x80, RESEND, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4, 1];
    const PADDING: &[u8] = &[0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 1];
    const REPORT: &[u8] = &[0x80, 200, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1];
    const HANDSHAKE: &[u8] = &[22, 254, 253];

    enum Step {
        Write(usize),
        Send(&'static [u8]),
        Disturb,
        /// It wants to be driven at once; whether it is.
        Soon(bool),
        /// It wants to be driven so many milliseconds after the start, and is.
        Later(u64),
        /// So many milliseconds have passed since the start.
        At(u64),
    }
    use Step::{At, Disturb, Later, Send, Soon, Write};

    #[test]
    fn each_packet_but_the_last_says_that_there_is_another() {
        let mut backlog = Backlog::default();
        (0..3).for_each(|_| backlog.written());
        let sent = [MEDIA, REPORT, MEDIA, HANDSHAKE, MEDIA].map(|datagram| backlog.sent(datagram));
        assert_eq!(sent, [true, false, true, false, false]);
    }

    #[test]
    fn the_turn_after_the_last_packet_is_left_out() {
        let cases: &[(&str, &[Step])] = &[
            ("one packet", &[Later(30), Write(1), Send(MEDIA), Soon(false)]),
            (
                "the second of two is still there",
                &[Later(30), Write(2), Send(MEDIA), Soon(true), Send(MEDIA), Soon(false)],
            ),
            ("when it rests is not known", &[Write(1), Send(MEDIA), Soon(true)]),
            ("the client sent something", &[Later(30), Disturb, Write(1), Send(MEDIA), Soon(true), Later(20)]),
            ("it wants something else", &[Later(30), Soon(true)]),
            ("a report", &[Later(30), Write(1), Send(REPORT), Soon(true), Send(MEDIA), Soon(false)]),
            ("a handshake", &[Later(30), Send(HANDSHAKE), Soon(true)]),
            ("something repeated", &[Later(30), Write(1), Send(REPEATED), Soon(true), Send(MEDIA), Soon(true)]),
            ("padding", &[Later(30), Write(1), Send(MEDIA), Send(PADDING), Soon(true)]),
            (
                "rest forgets what was repeated",
                &[Later(30), Send(REPEATED), Soon(true), Later(30), Write(1), Send(MEDIA), Soon(false)],
            ),
            ("rest forgets what was never sent", &[Write(3), Later(30), Write(1), Send(MEDIA), Soon(false)]),
            ("its timer has ended", &[Later(30), At(30), Write(1), Send(MEDIA), Soon(true)]),
        ];
        let start = Instant::now();
        for (what, steps) in cases {
            let mut backlog = Backlog::default();
            backlog.negotiated([RESEND].into_iter());
            let (mut now, mut rest) = (start, None);
            for step in *steps {
                match step {
                    Write(packets) => (0..*packets).for_each(|_| backlog.written()),
                    Send(datagram) => drop(backlog.sent(datagram)),
                    Disturb => backlog.disturbed(),
                    Soon(is_driven) => {
                        let at = backlog.wake_at(now + STEP, now);
                        assert_eq!(at == now + STEP, *is_driven, "{what}");
                        assert!(*is_driven || Some(at) == rest, "{what}");
                    }
                    Later(ms) => {
                        rest = Some(start + Duration::from_millis(*ms));
                        assert_eq!(Some(backlog.wake_at(start + Duration::from_millis(*ms), now)), rest, "{what}");
                    }
                    At(ms) => now = start + Duration::from_millis(*ms),
                }
            }
        }
    }
}
