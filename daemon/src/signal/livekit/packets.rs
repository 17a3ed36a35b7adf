//! Data packets: LiveKit's envelope around messages of participants.

use bytes::Bytes;
use livekit_protocol as proto;
use prost::Message as _;

/// A message for participants; `to` empty = everybody else. `sequence` counts reliable messages from 1, so that a receiver
/// can drop what it got before a reconnection.
pub(super) fn encode(topic: &str, payload: Vec<u8>, reliable: bool, to: Vec<String>, sequence: u32) -> Bytes {
    let kind = if reliable { proto::data_packet::Kind::Reliable } else { proto::data_packet::Kind::Lossy };
    let user = proto::UserPacket { payload, topic: Some(topic.to_owned()), ..Default::default() };
    // The field is deprecated, but old servers read nothing else.
    #[allow(deprecated)]
    let packet = proto::DataPacket {
        kind: kind as i32,
        destination_identities: to,
        sequence: if reliable { sequence } else { 0 },
        value: Some(proto::data_packet::Value::User(user)),
        ..Default::default()
    };
    packet.encode_to_vec().into()
}

/// A message that arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Identity of the sender, empty for the server.
    pub(super) from: String,
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
}

/// Reads a packet; `None` for what is not a message of a participant: streams, calls and metrics of other programs.
pub(super) fn decode(bytes: &[u8]) -> Option<Message> {
    let packet = match proto::DataPacket::decode(bytes) {
        Ok(packet) => packet,
        Err(error) => {
            log::warn!("a data packet cannot be read: {error}");
            return None;
        }
    };
    let Some(proto::data_packet::Value::User(user)) = packet.value else { return None };
    #[allow(deprecated)]
    let from =
        if packet.participant_identity.is_empty() { user.participant_identity } else { packet.participant_identity };
    Some(Message { from, topic: user.topic.unwrap_or_default(), payload: user.payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_envelope() {
        let bytes = encode("zego.command", b"ring".to_vec(), true, vec!["desk".to_owned()], 3);
        let packet = proto::DataPacket::decode(bytes.as_ref()).unwrap();
        assert_eq!((packet.sequence, packet.destination_identities), (3, vec!["desk".to_owned()]));
        let message = decode(&bytes).unwrap();
        assert_eq!(
            (message.from.as_str(), message.topic.as_str(), message.payload.as_slice()),
            ("", "zego.command", &b"ring"[..])
        );
        let lossy = proto::DataPacket::decode(encode("t", vec![], false, vec![], 9).as_ref()).unwrap();
        assert_eq!(lossy.sequence, 0);
    }

    #[test]
    fn other_packets_are_not_messages() {
        assert_eq!(decode(&[0xff, 0xff, 0xff]), None);
        assert_eq!(decode(&proto::DataPacket::default().encode_to_vec()), None);
    }
}
