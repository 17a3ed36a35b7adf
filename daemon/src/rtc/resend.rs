//! Packets that were sent, kept to be sent again when the other side asks (RFC 4585 §6.2.1), as RTX when negotiated (RFC 4588).

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use rtc::rtp::packet::Packet;

use crate::clock::Monotonic;

/// Packets kept: three seconds of 4 Mbit/s. The payloads are shared with the encoder's buffers, not copied.
const KEPT: usize = 1024;
/// The same packet is not sent again sooner, however often it is asked for.
const PAUSE: Duration = Duration::from_millis(15);

/// The newest packets of one stream.
#[derive(Debug, Default)]
pub(super) struct History {
    packets: VecDeque<(Packet, Option<Monotonic>)>,
}

impl History {
    /// Keeps a packet; they come with consecutive sequence numbers.
    pub(super) fn push(&mut self, packet: Packet) {
        if self.packets.len() == KEPT {
            self.packets.pop_front();
        }
        self.packets.push_back((packet, None));
    }

    /// The packet to be sent again; `None` when it is not kept any more or was sent again just now.
    pub(super) fn take(&mut self, sequence: u16, now: Monotonic) -> Option<Packet> {
        let newest = self.packets.back()?.0.header.sequence_number;
        let back = usize::from(newest.wrapping_sub(sequence));
        let index = self.packets.len().checked_sub(back + 1)?;
        let (packet, again) = self.packets.get_mut(index)?;
        if again.is_some_and(|again| now.since(again) < PAUSE) {
            return None;
        }
        *again = Some(now);
        Some(packet.clone())
    }
}

/// Wraps a packet as a retransmission: source and sequence number of the RTX stream, the original number before the payload.
pub(super) fn wrap(mut packet: Packet, ssrc: u32, payload_type: u8, sequence: u16) -> Packet {
    let mut payload = BytesMut::with_capacity(packet.payload.len() + 2);
    payload.put_u16(packet.header.sequence_number);
    payload.put_slice(&packet.payload);
    packet.payload = payload.freeze();
    packet.header.ssrc = ssrc;
    packet.header.payload_type = payload_type;
    packet.header.sequence_number = sequence;
    packet
}

/// Takes the original sequence number and payload out of a retransmission; `None` for a probe, which has neither.
pub(super) fn unwrap(payload: &Bytes) -> Option<(u16, Bytes)> {
    let number = payload.get(..2)?;
    Some((u16::from_be_bytes([number[0], number[1]]), payload.slice(2..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16) -> Packet {
        let mut packet = Packet::default();
        packet.header.sequence_number = sequence;
        packet.header.ssrc = 1;
        packet.header.payload_type = 96;
        packet.header.marker = true;
        packet.payload = Bytes::from(vec![7, sequence as u8]);
        packet
    }

    #[test]
    fn a_packet_is_found_over_the_wrap_and_not_sent_twice_at_once() {
        let mut history = History::default();
        let first = u16::MAX - 600;
        for index in 0..1500u16 {
            history.push(packet(first.wrapping_add(index)));
        }
        let now = Monotonic::from_millis(0);
        assert!(history.take(first, now).is_none(), "not kept any more");
        assert!(history.take(first.wrapping_add(1500), now).is_none(), "not sent yet");
        let oldest = first.wrapping_add(1500 - 1024);
        for sequence in [oldest, 0, first.wrapping_add(1499)] {
            assert_eq!(history.take(sequence, now).map(|packet| packet.header.sequence_number), Some(sequence));
            assert!(history.take(sequence, now + Duration::from_millis(5)).is_none());
            assert!(history.take(sequence, now + PAUSE).is_some());
        }
    }

    #[test]
    fn wrapping_and_unwrapping() {
        let wrapped = wrap(packet(0x1234), 2, 97, 5);
        assert_eq!((wrapped.header.ssrc, wrapped.header.payload_type, wrapped.header.sequence_number), (2, 97, 5));
        assert!(wrapped.header.marker);
        assert_eq!(unwrap(&wrapped.payload), Some((0x1234, Bytes::from_static(&[7, 0x34]))));
        assert_eq!(unwrap(&Bytes::from_static(&[0])), None);
    }
}
