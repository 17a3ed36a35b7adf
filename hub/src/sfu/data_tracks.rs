//! Packets of data tracks: the publisher's handle of the track is exchanged for each subscriber's, everything else passes unread.
//!
//! A packet begins with twelve bytes (all numbers big endian): version (three bits, 0), start and end of a frame, extensions, padding up
//! to two bytes; handle, sequence number and number of the frame (two bytes each), timestamp (four bytes).

use std::collections::HashMap;

use super::channels::ChannelKind;
use super::driver::Driver;
use super::{ParticipantKey, Side};

const HEADER: usize = 12;
const HANDLE: std::ops::Range<usize> = 2..4;

/// Where the packets of data tracks go: from a publisher's handle to subscribers, each with its own handle.
#[derive(Debug, Default)]
pub struct DataRoutes(HashMap<(ParticipantKey, u16), Vec<(ParticipantKey, u16)>>);

impl DataRoutes {
    /// Where a track goes from now on.
    pub fn set(&mut self, from: ParticipantKey, handle: u16, to: Vec<(ParticipantKey, u16)>) {
        if to.is_empty() {
            self.0.remove(&(from, handle));
        } else {
            self.0.insert((from, handle), to);
        }
    }

    /// Where a packet of `from` goes.
    pub fn of(&self, from: ParticipantKey, packet: &[u8]) -> &[(ParticipantKey, u16)] {
        let route = handle(packet).and_then(|handle| self.0.get(&(from, handle)));
        route.map(Vec::as_slice).unwrap_or_default()
    }
}

/// The track that a packet belongs to; `None` when it is none, or one of a version to come.
fn handle(packet: &[u8]) -> Option<u16> {
    let header = packet.get(..HEADER).filter(|header| header[0] >> 5 == 0)?;
    Some(u16::from_be_bytes([header[HANDLE.start], header[HANDLE.start + 1]]))
}

/// The packet as a subscriber knows it.
pub(super) fn with_handle(packet: &[u8], handle: u16) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if let Some(place) = packet.get_mut(HANDLE) {
        place.copy_from_slice(&handle.to_be_bytes());
    }
    packet
}

impl Driver {
    /// Sends a data track's packet on to its subscribers.
    pub(super) fn relay_data_track(&mut self, from: ParticipantKey, packet: &[u8]) {
        for (participant, handle) in self.data_routes.of(from, packet) {
            let packet = with_handle(packet, *handle);
            for side in [Side::Publisher, Side::Subscriber] {
                let id = super::PeerId { participant: *participant, side };
                let Some(slot) = self.slots.get(&id).copied() else { continue };
                let Some(peer) = &mut self.peers[slot] else { continue };
                if peer.takes_data(ChannelKind::Track) {
                    peer.send_data(ChannelKind::Track, &packet);
                    self.changed.push(slot);
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(version: u8, handle: u16) -> Vec<u8> {
        let mut packet = vec![version << 5 | 0x18, 0];
        packet.extend(handle.to_be_bytes());
        packet.extend([0, 1, 0, 2, 0, 0, 0, 3, b'x']);
        packet
    }

    #[test]
    fn a_track_goes_where_it_was_asked_for_under_the_subscribers_handle() {
        let mut routes = DataRoutes::default();
        routes.set(1, 300, vec![(2, 1), (3, 700)]);
        assert_eq!(routes.of(1, &packet(0, 300)), [(2, 1), (3, 700)]);
        assert_eq!(with_handle(&packet(0, 300), 700), packet(0, 700));
        routes.set(1, 300, Vec::new());
        assert!(routes.of(1, &packet(0, 300)).is_empty());
        assert!(routes.0.is_empty());
    }

    #[test]
    fn a_handle_means_only_its_own_publishers_track() {
        let mut routes = DataRoutes::default();
        routes.set(1, 5, vec![(2, 1)]);
        assert!(routes.of(2, &packet(0, 5)).is_empty());
        assert!(routes.of(1, &packet(0, 6)).is_empty());
    }

    #[test]
    fn what_is_no_packet_of_this_version_goes_nowhere() {
        let mut routes = DataRoutes::default();
        routes.set(1, 5, vec![(2, 1)]);
        for bytes in [&packet(1, 5)[..], &packet(0, 5)[..11], &[]] {
            assert!(routes.of(1, bytes).is_empty(), "{bytes:?}");
        }
        assert_eq!(with_handle(&[1, 2, 3], 9), [1, 2, 3]);
    }
}
