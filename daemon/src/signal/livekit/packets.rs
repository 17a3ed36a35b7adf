//! Data packets: LiveKit's envelope around messages of participants.

use bytes::Bytes;
use livekit_protocol as proto;
use prost::Message as _;
use proto::data_packet::Value;

use super::text_streams;

/// A message to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataMessage {
    /// Its topic.
    pub topic: String,
    /// Its content.
    pub payload: Vec<u8>,
    /// It must arrive.
    pub reliable: bool,
    /// Identities that it is for; empty = everybody else.
    pub to: Vec<String>,
    /// Its number, in whatever form the sender counts; empty = none.
    pub id: String,
    /// When it was sent, Unix milliseconds; 0 = it does not say.
    pub sent_at_ms: u64,
    /// Send it as a text stream, too, for programs that read only those.
    pub as_text: bool,
}

impl DataMessage {
    /// Its packets. `sequence` counts reliable packets, so that a receiver can drop what it got before a reconnection.
    pub(super) fn packets(self, sequence: &mut u32) -> Vec<Bytes> {
        let user = proto::UserPacket {
            payload: self.payload.clone(),
            topic: Some(self.topic.clone()),
            id: Some(self.id.clone()).filter(|id| !id.is_empty()),
            start_time: Some(self.sent_at_ms).filter(|time| *time != 0),
            ..Default::default()
        };
        let mut values = vec![Value::User(user)];
        if self.as_text && self.reliable {
            values.extend(text_streams::copy(&self.topic, &self.payload, &self.id, self.sent_at_ms));
        }
        let kind = if self.reliable { proto::data_packet::Kind::Reliable } else { proto::data_packet::Kind::Lossy };
        let mut packet = |value| {
            *sequence += u32::from(self.reliable);
            // The field is deprecated, but old servers read nothing else.
            #[allow(deprecated)]
            let packet = proto::DataPacket {
                kind: kind as i32,
                destination_identities: self.to.clone(),
                sequence: if self.reliable { *sequence } else { 0 },
                value: Some(value),
                ..Default::default()
            };
            Bytes::from(packet.encode_to_vec())
        };
        values.into_iter().map(&mut packet).collect()
    }
}

/// A message that arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Identity of the sender, empty for the server.
    pub(super) from: String,
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) id: Option<String>,
    pub(super) sent_at_ms: Option<u64>,
}

/// Reads a packet: who sent it, and what is in it.
pub(super) fn decode(bytes: &[u8]) -> Option<(String, Value)> {
    match proto::DataPacket::decode(bytes) {
        Ok(packet) => Some((packet.participant_identity, packet.value?)),
        Err(error) => {
            log::warn!("a data packet cannot be read: {error}");
            None
        }
    }
}

/// The message in a packet of a user.
pub(super) fn message(from: String, user: proto::UserPacket) -> Message {
    #[allow(deprecated)] // Where older servers write it.
    let from = if from.is_empty() { user.participant_identity } else { from };
    Message {
        from,
        topic: user.topic.unwrap_or_default(),
        payload: user.payload,
        id: user.id,
        sent_at_ms: user.start_time.filter(|time| *time != 0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_message_comes_out_as_it_went_in(
            topic in ".{0,40}", payload in proptest::collection::vec(any::<u8>(), 0..2000), reliable: bool,
        ) {
            let sent = DataMessage { topic: topic.clone(), payload: payload.clone(), reliable, ..ring() };
            let (from, value) = decode(&sent.packets(&mut 0)[0]).expect("a message");
            let Value::User(user) = value else { panic!("{value:?}") };
            let message = message(from, user);
            prop_assert_eq!((message.topic, message.payload), (topic, payload));
        }

        #[test]
        fn no_packet_makes_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, change: u8,
        ) {
            let _ = decode(&bytes);
            let mut packet = DataMessage { payload: bytes, ..ring() }.packets(&mut 0)[0].to_vec();
            let place = at.index(packet.len());
            packet[place] ^= change;
            let _ = decode(&packet);
            let _ = decode(&packet[..place]);
        }
    }

    fn ring() -> DataMessage {
        DataMessage {
            topic: "zego.command".to_owned(),
            payload: b"ring".to_vec(),
            reliable: true,
            to: vec!["desk".to_owned()],
            id: "1700000000123007".to_owned(),
            sent_at_ms: 1_700_000_000_123,
            as_text: false,
        }
    }

    #[test]
    fn messages_survive_the_envelope() {
        let mut sequence = 2;
        let packets = ring().packets(&mut sequence);
        let packet = proto::DataPacket::decode(packets[0].as_ref()).unwrap();
        assert_eq!((packet.sequence, packet.destination_identities, sequence), (3, vec!["desk".to_owned()], 3));
        let (from, value) = decode(&packets[0]).unwrap();
        let Value::User(user) = value else { panic!("{value:?}") };
        let message = message(from, user);
        assert_eq!(
            (message.from.as_str(), message.topic.as_str(), message.payload.as_slice()),
            ("", "zego.command", &b"ring"[..])
        );
        assert_eq!((message.id.as_deref(), message.sent_at_ms), (Some("1700000000123007"), Some(1_700_000_000_123)));
        let lossy = DataMessage { reliable: false, as_text: true, ..ring() }.packets(&mut sequence);
        assert_eq!((lossy.len(), sequence), (1, 3), "a text stream cannot be lossy");
        assert_eq!(proto::DataPacket::decode(lossy[0].as_ref()).unwrap().sequence, 0);
    }

    #[test]
    fn a_copy_as_a_text_stream_goes_to_the_same_people() {
        let mut sequence = 0;
        let packets = DataMessage { as_text: true, ..ring() }.packets(&mut sequence);
        let packets: Vec<_> = packets.iter().map(|bytes| proto::DataPacket::decode(bytes.as_ref()).unwrap()).collect();
        assert_eq!(packets.iter().map(|packet| packet.sequence).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(packets.iter().all(|packet| packet.destination_identities == ["desk"]));
        assert!(matches!(&packets[1].value, Some(Value::StreamHeader(header)) if header.topic == "zego.command"));
    }

    #[test]
    fn other_packets_are_not_messages() {
        assert_eq!(decode(&[0xff, 0xff, 0xff]), None);
        assert_eq!(decode(&proto::DataPacket::default().encode_to_vec()), None);
    }
}
