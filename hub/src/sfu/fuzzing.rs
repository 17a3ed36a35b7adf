//! What comes over peer connections and about them, for the targets in `fuzz/`.

#[cfg(fuzzing)]
mod datagrams;

use std::sync::Arc;
use std::time::{Duration, Instant};

use zego_media_stream::Deframer;

use super::data_tracks::{DataRoutes, with_handle};
use super::dependency_descriptor::{Dependencies, begins_key_frame};
use super::forward::{Incoming, Rewrite};
use super::peer::Peer;
use super::red;
use super::svc::{Frame, Slice, Spatial, Verdict};
use super::timing::{PublisherClock, Report};
use super::vp8::Pictures;
use super::vp9;
use super::{Member, PeerId, Side, Use, data};
use crate::sdp;
#[cfg(fuzzing)]
pub use datagrams::datagrams;

/// A client's connection, before it has said anything.
fn publisher(now: Instant) -> Peer {
    let member = Member {
        room: 1,
        identity: "door".to_owned(),
        sid: "PA_1".to_owned(),
        may_send_data: true,
        any_certificate: false,
        last_sequence: Default::default(),
    };
    let id = PeerId { participant: 1, side: Side::Publisher };
    Peer::new(id, member, std::iter::once(([127, 0, 0, 1], 7882).into()), std::iter::empty(), now)
}

/// A client's session description, as an offer with its sections in use by turns, and as a line of ICE.
pub fn sdp(text: &str) {
    let sections = sdp::sections(text);
    let rewritten = sdp::rewrite(text, |_| sdp::Edit {
        msid: Some(Some(("stream".to_owned(), "track".to_owned()))),
        direction: Some(sdp::Direction::SendOnly),
        prefer: vec!["96".to_owned()],
        opus: sdp::Opus { stereo: true, dtx: true },
        start_bitrates: vec![("96".to_owned(), "500".to_owned())],
    });
    assert_eq!(sdp::sections(&rewritten).len(), sections.len(), "sections come and go:\n{text}\n{rewritten}");
    let now = Instant::now();
    let mut peer = publisher(now);
    let uses: Vec<(String, Use)> = sections
        .iter()
        .zip(1..)
        .map(|(section, key)| {
            (section.mid.clone(), if section.direction.sends() { Use::Publish(key) } else { Use::Deliver(key) })
        })
        .collect();
    if peer.accept_offer(text, &uses, now).is_ok() {
        let _ = peer.accept_offer(&rewritten, &[], now);
    }
    for line in text.lines() {
        peer.add_candidate(line);
    }
}

/// A data packet of a client.
pub fn data_packet(packet: &[u8]) {
    let Some(relayed) = data::relay(packet, "door", "PA_1") else { return };
    let again = data::relay(&relayed.bytes, "door", "PA_1").expect("what the hub writes can be read");
    assert_eq!(again.to, relayed.to);
}

/// A packet of a data track, that a subscriber knows under another handle.
pub fn data_track_packet(packet: &[u8]) {
    let mut routes = DataRoutes::default();
    routes.set(1, 1, vec![(2, 7)]);
    for (_, handle) in routes.of(1, packet) {
        let changed = with_handle(packet, *handle);
        assert_eq!(changed.len(), packet.len());
        assert!(routes.of(1, &changed).is_empty(), "the handle is the publisher's still");
    }
}

/// What came of a TCP connection, piece by piece.
pub fn stream(pieces: &[Vec<u8>]) {
    let (mut deframer, mut datagram) = (Deframer::default(), Vec::new());
    let (mut came, mut taken) = (0, 0);
    for piece in pieces {
        deframer.push(piece);
        came += piece.len();
        while match deframer.next(&mut datagram) {
            Ok(complete) => complete,
            Err(_) => return,
        } {
            taken += datagram.len();
            assert!(!datagram.is_empty() && taken < came, "more comes out than went in");
        }
    }
}

/// VP8 payloads of two sources by turns, in packets whose numbers and times jump.
pub fn vp8_packets(mut data: &[u8]) {
    let start = Instant::now();
    let (mut pictures, mut clock) = (Pictures::default(), PublisherClock::default());
    let mut rewrite = Rewrite::new(1, start, 90_000);
    let mut newest = None;
    while let Some((&[flags, jump, length, a, b, c, d], rest)) = data.split_first_chunk::<7>() {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(length)));
        data = rest;
        let timestamp = u32::from_be_bytes([a, b, c, d]);
        let arrived = start + Duration::from_millis(u64::from(jump));
        let wall = std::time::UNIX_EPOCH + Duration::from_secs(u64::from(timestamp));
        let report = (flags & 4 != 0).then_some(Report { wall, rtp: timestamp.rotate_left(7) });
        let made_at = clock.made_at(report, timestamp, 90_000, arrived);
        assert!(made_at <= arrived);
        let source = u32::from(flags & 1);
        let incoming = Incoming { source, sequence: (1 << 16) + u64::from(jump), timestamp, made_at };
        if flags & 2 != 0 {
            pictures.pause();
            rewrite.pause();
        }
        let Some(outgoing) = rewrite.forward(incoming) else { continue };
        assert!(!outgoing.newest || newest.is_none_or(|last| last < outgoing.sequence));
        if outgoing.newest {
            newest = Some(outgoing.sequence);
        }
        let _ = pictures.patch(source, payload, outgoing.newest);
    }
}

/// Packets of redundant sound, whose numbers and times jump, and plain ones between them.
pub fn redundant_sound(mut data: &[u8]) {
    let mut recovery = red::Recovery::default();
    let (mut sequence, mut timestamp) = (1_u64 << 16, 0_u32);
    let mut passed = std::collections::HashSet::new();
    while let Some((&[flags, jump, ticks, length], rest)) = data.split_first_chunk::<4>() {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(length)));
        data = rest;
        sequence = sequence.saturating_add_signed(i64::from(jump.cast_signed()) << (flags >> 1 & 15));
        timestamp = timestamp.wrapping_add(u32::from(ticks) * 240);
        // Far jumps begin anew: numbers come again then, and rightly so.
        if flags >> 1 & 15 != 0 {
            passed.clear();
        }
        let shared: Arc<[u8]> = payload.into();
        assert_eq!(red::with_payload_type(&shared, flags).len(), payload.len());
        if flags & 1 != 0 {
            recovery.take(sequence, timestamp);
            continue;
        }
        let sounds = recovery.unpack(sequence, timestamp, payload);
        assert!(sounds.is_sorted_by(|before, after| before.sequence < after.sequence), "{sounds:?}");
        for sound in &sounds {
            assert!(sound.sequence <= sequence && sound.payload.len() <= payload.len());
            assert!(passed.insert(sound.sequence), "{} goes on twice", sound.sequence);
        }
    }
}

/// VP9 payloads, in packets whose numbers and times jump, to somebody who may have more or less of their layers by turns.
pub fn vp9_packets(data: &[u8]) {
    layered_packets(data, |payload| vp9::Descriptor::parse(payload)?.frame());
}

/// Dependency Descriptors of AV1, in packets as those of VP9.
pub fn av1_packets(data: &[u8]) {
    let mut dependencies = Dependencies::default();
    layered_packets(data, |descriptor| {
        begins_key_frame(descriptor);
        dependencies.read(descriptor)
    });
}

/// Packets whose numbers and times jump; `read` reads the rest of each.
fn layered_packets(mut data: &[u8], mut read: impl FnMut(&[u8]) -> Option<Frame>) {
    let start = Instant::now();
    let (mut spatial, mut rewrite) = (Spatial::default(), Rewrite::new(1, start, 90_000));
    let (mut sequence, mut timestamp) = (1_u64 << 16, 0_u32);
    let (mut sent, mut held) = (std::collections::HashSet::new(), None);
    while let Some((&[allowed, jump, ticks, length], rest)) = data.split_first_chunk::<4>() {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(length)));
        data = rest;
        sequence = sequence.saturating_add_signed(i64::from(jump.cast_signed()));
        timestamp = timestamp.wrapping_add_signed(i32::from(ticks.cast_signed()));
        let Some(Frame { layer, predicted, ends, .. }) = read(payload) else { continue };
        let slice = Slice { layer, timestamp, sequence, predicted, ends, marker: allowed & 0x80 != 0 };
        let incoming = Incoming { source: 1, sequence, timestamp, made_at: start };
        let released = spatial.release(slice).map(|_| held.take().expect("a packet is on hold"));
        let outgoing = [
            released.and_then(|packet| rewrite.forward(packet)),
            match spatial.judge(slice, allowed & 7) {
                Verdict::Forward { .. } => rewrite.forward(incoming),
                Verdict::Hold => {
                    assert!(held.replace(incoming).is_none(), "two packets are on hold");
                    None
                }
                Verdict::Drop { .. } => rewrite.leave_out(incoming),
            },
        ];
        for outgoing in outgoing.into_iter().flatten() {
            // A packet that comes again has the number that it had.
            assert!(!outgoing.newest || sent.insert(outgoing.sequence), "{} is sent twice", outgoing.sequence);
        }
    }
}
