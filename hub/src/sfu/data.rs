//! Data packets between participants: the sender's name is written by the hub, everything else passes unread.
//!
//! A packet is a protobuf `livekit.DataPacket`. It is not decoded: fields that this hub does not know yet must reach
//! the receiver too. In protobuf the last value of a field counts, so that appending the sender's true identity and
//! id overrides whatever the sender wrote.

/// Field numbers of `livekit.DataPacket`.
const PARTICIPANT_IDENTITY: u32 = 4;
const DESTINATION_IDENTITIES: u32 = 5;
const SEQUENCE: u32 = 16;
const PARTICIPANT_SID: u32 = 17;

/// A packet to relay.
#[derive(Debug, PartialEq, Eq)]
pub struct Relay {
    /// Bytes with the sender's identity and id.
    pub bytes: Vec<u8>,
    /// Identities that it is for; empty for everybody.
    pub to: Vec<String>,
    /// Its number among the sender's reliable packets, 0 when it has none.
    pub sequence: u32,
}

/// Prepares a packet of `identity`/`sid` for relaying; `None` when it is not a protobuf message.
pub fn relay(packet: &[u8], identity: &str, sid: &str) -> Option<Relay> {
    let (mut to, mut sequence) = (Vec::new(), 0);
    let mut rest = packet;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let (field, wire) = ((tag >> 3) as u32, tag & 7);
        match wire {
            0 => {
                let value = varint(&mut rest)?;
                if field == SEQUENCE {
                    // A uint32, as protobuf reads one that is too long.
                    sequence = value as u32;
                }
            }
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let value = rest.get(..length)?;
                rest = &rest[length..];
                if field == DESTINATION_IDENTITIES {
                    to.push(std::str::from_utf8(value).ok()?.to_owned());
                }
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    let mut bytes = Vec::with_capacity(packet.len() + identity.len() + sid.len() + 8);
    bytes.extend_from_slice(packet);
    put(&mut bytes, PARTICIPANT_IDENTITY, identity);
    put(&mut bytes, PARTICIPANT_SID, sid);
    Some(Relay { bytes, to, sequence })
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn put(bytes: &mut Vec<u8>, field: u32, text: &str) {
    put_varint(bytes, u64::from(field << 3 | 2));
    put_varint(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(test)]
mod tests {
    use livekit_protocol as proto;
    use prost::Message as _;
    use proto::data_packet::Value;

    use super::*;

    fn packet() -> proto::DataPacket {
        proto::DataPacket {
            participant_identity: "somebody else".into(),
            participant_sid: "PA_forged".into(),
            destination_identities: vec!["desk".into(), "tür".into()],
            sequence: 7,
            value: Some(Value::User(proto::UserPacket { payload: vec![1, 2, 3], ..Default::default() })),
            ..Default::default()
        }
    }

    #[test]
    fn the_sender_cannot_choose_its_name() {
        let relay = relay(&packet().encode_to_vec(), "door", "PA_1").expect("a message");
        let received = proto::DataPacket::decode(relay.bytes.as_slice()).expect("a message");
        assert_eq!((received.participant_identity.as_str(), received.participant_sid.as_str()), ("door", "PA_1"));
        assert_eq!((relay.to.as_slice(), relay.sequence), (["desk".to_owned(), "tür".to_owned()].as_slice(), 7));
        assert_eq!(received.sequence, 7);
        assert_eq!(received.value, packet().value);
    }

    #[test]
    fn fields_of_the_future_pass() {
        let mut bytes = packet().encode_to_vec();
        put(&mut bytes, 900, "from the future");
        let relay = relay(&bytes, "door", "PA_1").expect("a message");
        assert!(relay.bytes.windows(15).any(|w| w == b"from the future"));
    }

    #[test]
    fn what_is_no_message_is_dropped() {
        for bytes in [&[0xff; 11][..], &[0x2a, 0x7f, 1], &[0x2a, 0x01, 0xff], &[0x0b]] {
            assert_eq!(relay(bytes, "door", "PA_1"), None, "{bytes:?}");
        }
    }
}
