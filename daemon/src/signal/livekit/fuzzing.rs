//! Data packets from a server, for the targets in `fuzz/`.

use super::packets;
use super::text_streams::TextStreams;
use livekit_protocol::data_packet::Value;

/// Data packets in the order in which they came.
pub fn data_packets(given: &[Vec<u8>]) {
    let mut texts = TextStreams::default();
    for packet in given {
        match packets::decode(packet) {
            Some((from, Value::User(user))) => drop(packets::message(from, user)),
            Some((from, value)) => drop(texts.take(&from, value)),
            None => {}
        }
    }
}
