//! Text streams: what LiveKit's SDKs send with `sendText`. A header, chunks, and a trailer, each a reliable data packet.

use std::collections::VecDeque;

use livekit_protocol as proto;
use proto::data_packet::Value;
use proto::data_stream::header::ContentHeader;

use super::packets::Message;

/// Longer texts are not taken.
const LENGTH_MAX: usize = 64 * 1024;
/// So many texts may be on their way at once; the oldest goes first.
const OPEN_MAX: usize = 32;
/// Bytes of one chunk.
const CHUNK: usize = 15_000;
/// A text with this attribute was sent as a data packet, too.
const COPY_ATTRIBUTE: &str = "zego.packet";

/// A text that is not complete yet.
struct Open {
    from: String,
    header: proto::data_stream::Header,
    text: Vec<u8>,
    next_chunk: u64,
}

/// The texts that are on their way to us.
#[derive(Default)]
pub(super) struct TextStreams {
    open: VecDeque<Open>,
}

impl TextStreams {
    /// Takes a packet of `from`; the text that it completes.
    pub(super) fn take(&mut self, from: &str, value: Value) -> Option<Message> {
        match value {
            Value::StreamHeader(header) => self.begin(from, header),
            Value::StreamChunk(chunk) => {
                self.add(from, &chunk);
                None
            }
            Value::StreamTrailer(trailer) => {
                let index = self.find(from, &trailer.stream_id)?;
                // With a reason it was broken off.
                self.open.remove(index).filter(|_| trailer.reason.is_empty()).and_then(Open::message)
            }
            _ => None,
        }
    }

    fn begin(&mut self, from: &str, mut header: proto::data_stream::Header) -> Option<Message> {
        let is_text = matches!(header.content_header, Some(ContentHeader::TextHeader(_)));
        let too_long = header.total_length.is_some_and(|length| length > LENGTH_MAX as u64);
        if !is_text || too_long || header.compression != 0 || header.attributes.contains_key(COPY_ATTRIBUTE) {
            return None;
        }
        let text = header.inline_content.take();
        let inline = text.is_some();
        let open = Open { from: from.to_owned(), header, text: text.unwrap_or_default(), next_chunk: 0 };
        if inline {
            return open.message();
        }
        if self.open.len() == OPEN_MAX {
            self.open.pop_front();
        }
        self.open.push_back(open);
        None
    }

    fn add(&mut self, from: &str, chunk: &proto::data_stream::Chunk) {
        let Some(index) = self.find(from, &chunk.stream_id) else { return };
        let open = &mut self.open[index];
        // The channel keeps their order: another number is a repetition or a lost one.
        if chunk.chunk_index != open.next_chunk || open.text.len() + chunk.content.len() > LENGTH_MAX {
            log::debug!("a text of {from} is dropped at chunk {}", chunk.chunk_index);
            self.open.remove(index);
            return;
        }
        open.next_chunk += 1;
        open.text.extend_from_slice(&chunk.content);
    }

    fn find(&self, from: &str, id: &str) -> Option<usize> {
        self.open.iter().position(|open| open.from == from && open.header.stream_id == id)
    }
}

impl Open {
    fn message(self) -> Option<Message> {
        let is_complete = self.header.total_length.is_none_or(|length| length == self.text.len() as u64);
        is_complete.then(|| Message {
            from: self.from,
            topic: self.header.topic,
            payload: self.text,
            id: Some(self.header.stream_id),
            sent_at_ms: u64::try_from(self.header.timestamp).ok().filter(|time| *time != 0),
        })
    }
}

/// The packets of a text that is sent as a data packet, too.
pub(super) fn copy(topic: &str, text: &[u8], id: &str, sent_at_ms: u64) -> Vec<Value> {
    let header = proto::data_stream::Header {
        stream_id: id.to_owned(),
        timestamp: i64::try_from(sent_at_ms).unwrap_or_default(),
        topic: topic.to_owned(),
        mime_type: "text/plain".to_owned(),
        total_length: Some(text.len() as u64),
        attributes: [(COPY_ATTRIBUTE.to_owned(), "1".to_owned())].into(),
        content_header: Some(ContentHeader::TextHeader(Default::default())),
        ..Default::default()
    };
    let chunks = text.chunks(CHUNK).enumerate().map(|(index, content)| {
        Value::StreamChunk(proto::data_stream::Chunk {
            stream_id: id.to_owned(),
            chunk_index: index as u64,
            content: content.to_vec(),
            ..Default::default()
        })
    });
    let trailer = proto::data_stream::Trailer { stream_id: id.to_owned(), ..Default::default() };
    std::iter::once(Value::StreamHeader(header)).chain(chunks).chain([Value::StreamTrailer(trailer)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The packets of a text as an SDK sends it.
    fn sent(text: &str, id: &str) -> Vec<Value> {
        let mut packets = copy("zego.broadcast", text.as_bytes(), id, 1_700_000_000_123);
        if let Some(Value::StreamHeader(header)) = packets.first_mut() {
            header.attributes.clear();
        }
        packets
    }

    fn taken(streams: &mut TextStreams, from: &str, packets: Vec<Value>) -> Vec<Message> {
        packets.into_iter().filter_map(|packet| streams.take(from, packet)).collect()
    }

    #[test]
    fn a_text_arrives_with_its_sender_s_id_and_time() {
        let long = "ü".repeat(20_000);
        let messages = taken(&mut TextStreams::default(), "anna", sent(&long, "S1"));
        assert_eq!(messages.len(), 1);
        assert_eq!((messages[0].from.as_str(), messages[0].topic.as_str()), ("anna", "zego.broadcast"));
        assert_eq!(messages[0].payload, long.as_bytes());
        assert_eq!((messages[0].id.as_deref(), messages[0].sent_at_ms), (Some("S1"), Some(1_700_000_000_123)));
    }

    #[test]
    fn texts_of_several_do_not_mix() {
        let mut streams = TextStreams::default();
        let (one, two) = (sent("of anna", "S"), sent("of ben", "S"));
        let mut texts = Vec::new();
        for (a, b) in one.into_iter().zip(two) {
            texts.extend(streams.take("anna", a));
            texts.extend(streams.take("ben", b));
        }
        assert_eq!(texts.iter().map(|m| m.payload.as_slice()).collect::<Vec<_>>(), [b"of anna".as_slice(), b"of ben"]);
    }

    #[test]
    fn what_is_no_whole_text_is_dropped() {
        let mut streams = TextStreams::default();
        let mut gap = sent(&"x".repeat(40_000), "S");
        gap.remove(2);
        assert!(taken(&mut streams, "anna", gap).is_empty());
        let mut broken = sent("hello", "S");
        if let Some(Value::StreamTrailer(trailer)) = broken.last_mut() {
            trailer.reason = "cancelled".to_owned();
        }
        assert!(taken(&mut streams, "anna", broken).is_empty());
        assert!(taken(&mut streams, "anna", sent(&"x".repeat(LENGTH_MAX + 1), "S")).is_empty());
        assert!(taken(&mut streams, "anna", sent("hello", "S").split_off(1)).is_empty());
        assert!(streams.open.is_empty());
        for number in 0..200 {
            taken(&mut streams, "anna", sent("hello", &number.to_string()).drain(..1).collect());
        }
        assert_eq!(streams.open.len(), OPEN_MAX);
    }

    #[test]
    fn a_copy_is_not_taken_twice() {
        let packets = copy("zego.broadcast", b"hello", "7", 1);
        assert_eq!(packets.len(), 3);
        assert!(taken(&mut TextStreams::default(), "door", packets).is_empty());
    }

    #[test]
    fn a_text_in_its_header_is_complete() {
        let header = proto::data_stream::Header {
            stream_id: "S".to_owned(),
            inline_content: Some(b"hi".to_vec()),
            total_length: Some(2),
            content_header: Some(ContentHeader::TextHeader(Default::default())),
            ..Default::default()
        };
        let message = TextStreams::default().take("anna", Value::StreamHeader(header)).unwrap();
        assert_eq!((message.payload.as_slice(), message.sent_at_ms), (&b"hi"[..], None));
    }
}
