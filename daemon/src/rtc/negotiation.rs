//! From session descriptions to the table of what is sent and received.

use std::sync::Arc;

use super::packet::{MediaKind, Mime, NegotiatedCodec};
use super::peer::PeerEvent;
use super::plane::{Incoming, Plane, Table};
use super::receiver::{Inlet, MediaReceiver};
use super::sdp::Section;
use super::sender::{Negotiated, Outlet};

/// A track that we send and the section that carries it.
pub(super) struct Sending {
    pub(super) outlet: Arc<Outlet>,
    /// `None` until the first offer with it.
    pub(super) mid: Option<String>,
}

/// Media that the other side sends.
struct Receiving {
    mid: String,
    stream_id: String,
    track_id: String,
    inlet: Arc<Inlet>,
}

/// What was negotiated so far.
#[derive(Default)]
pub(super) struct Negotiation {
    pub(super) sending: Vec<Sending>,
    receiving: Vec<Receiving>,
    pub(super) has_remote: bool,
}

impl Negotiation {
    /// Whether this track of ours has two channels.
    pub(super) fn sends_stereo(&self, track_id: &str) -> bool {
        self.sending.iter().any(|sending| sending.outlet.track_id == track_id && sending.outlet.is_stereo())
    }

    /// Learns from our offer which section carries which track.
    pub(super) fn offered(&mut self, local: &[Section]) {
        for sending in &mut self.sending {
            if let Some(section) = local.iter().find(|section| section.track_id == sending.outlet.track_id) {
                sending.mid = Some(section.mid.clone());
            }
        }
    }

    /// Takes over the other side's description; returns what is to be told.
    pub(super) fn apply(&mut self, remote: &[Section], plane: &Plane) -> Vec<PeerEvent> {
        let connected = plane.is_connected();
        for sending in &self.sending {
            let section = remote.iter().find(|section| Some(&section.mid) == sending.mid.as_ref());
            let section = section.filter(|section| section.direction.receives());
            sending.outlet.update(section.and_then(|section| negotiated(section, &sending.outlet)), connected);
        }
        let mut events = Vec::new();
        let sends = |section: &Section| section.direction.sends() && !section.codecs.is_empty();
        self.receiving.retain(|receiving| {
            let same = remote.iter().any(|section| {
                section.mid == receiving.mid
                    && sends(section)
                    && section.stream_id == receiving.stream_id
                    && section.track_id == receiving.track_id
            });
            if !same {
                plane.retire_inlet(&receiving.inlet);
                events.push(PeerEvent::TrackEnded { mid: receiving.mid.clone() });
            }
            same
        });
        let mut table = Table {
            outlets: self.sending.iter().map(|sending| Arc::clone(&sending.outlet)).collect(),
            ..Table::default()
        };
        for section in remote.iter().filter(|section| sends(section)) {
            let inlet = match self.receiving.iter().find(|receiving| receiving.mid == section.mid) {
                Some(receiving) => Arc::clone(&receiving.inlet),
                None => {
                    let inlet = Arc::new(Inlet::new(section.kind, plane.wake.clone()));
                    self.receiving.push(Receiving {
                        mid: section.mid.clone(),
                        stream_id: section.stream_id.clone(),
                        track_id: section.track_id.clone(),
                        inlet: Arc::clone(&inlet),
                    });
                    events.push(PeerEvent::Track {
                        mid: section.mid.clone(),
                        stream_id: section.stream_id.clone(),
                        track_id: section.track_id.clone(),
                        receiver: MediaReceiver::new(Arc::clone(&inlet)),
                    });
                    inlet
                }
            };
            table.transport_cc = table.transport_cc.or(section.transport_cc_extension);
            table.incoming.push(Incoming {
                mid: section.mid.clone(),
                codecs: section.codecs.clone(),
                sources: section.sources.clone(),
                mid_extension: section.mid_extension,
                level_extension: section.level_extension,
                capture_time_extension: section.capture_time_extension,
                inlet,
            });
        }
        plane.change(|current| *current = table);
        self.has_remote = true;
        events
    }
}

/// The codec that we send on a section which the other side accepted: its first that we can make.
fn negotiated(section: &Section, outlet: &Outlet) -> Option<Negotiated> {
    let ours = match outlet.kind {
        MediaKind::Audio => Mime::Opus,
        MediaKind::Video => Mime::H264,
    };
    let codec = section.codecs.iter().find(|codec| codec.mime == ours)?;
    Some(Negotiated {
        codec: NegotiatedCodec {
            payload_type: codec.payload_type,
            mime: codec.mime,
            fmtp: codec.fmtp.clone(),
            clock_rate: codec.mime.clock_rate(),
            ssrc: outlet.ssrc,
        },
        rtx: codec.rtx,
        mid: section.mid.clone(),
        mid_extension: section.mid_extension,
        level_extension: section.level_extension,
        capture_time_extension: section.capture_time_extension,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::sdp::sections;

    fn section(mid: &str, direction: &str, msid: &str) -> String {
        format!(
            "m=video 9 UDP/TLS/RTP/SAVPF 106 107\r\na=mid:{mid}\r\na={direction}\r\na=msid:{msid}\r\na=rtpmap:106 H264/90000\r\n\
             a=fmtp:106 packetization-mode=1\r\na=rtpmap:107 rtx/90000\r\na=fmtp:107 apt=106\r\n"
        )
    }

    /// The events as words.
    fn words(events: &[PeerEvent]) -> Vec<String> {
        events
            .iter()
            .map(|event| match event {
                PeerEvent::Track { mid, stream_id, track_id, .. } => format!("+{mid} {stream_id} {track_id}"),
                PeerEvent::TrackEnded { mid } => format!("-{mid}"),
                _ => "?".to_owned(),
            })
            .collect()
    }

    #[test]
    fn sections_come_go_and_are_used_again() {
        let plane = Plane::default();
        let mut negotiation = Negotiation::default();
        // (description of the other side, what is told)
        let steps: [(String, &[&str]); 5] = [
            (section("0", "inactive", "- -"), &[]),
            (section("0", "sendonly", "PA|a TR1"), &["+0 PA|a TR1"]),
            (section("0", "sendonly", "PA|a TR1") + &section("1", "sendonly", "PA|b TR2"), &["+1 PA|b TR2"]),
            (section("0", "sendonly", "PB|c TR3") + &section("1", "inactive", "- -"), &["-0", "-1", "+0 PB|c TR3"]),
            (section("0", "inactive", "- -"), &["-0"]),
        ];
        for (sdp, expected) in steps {
            assert_eq!(words(&negotiation.apply(&sections(&sdp), &plane)), expected, "{sdp}");
        }
        assert!(plane.table().incoming.is_empty());
    }

    #[test]
    fn a_sender_sends_while_its_section_is_accepted() {
        let plane = Plane::default();
        let outlet = Arc::new(Outlet::new(MediaKind::Video, "cam", 5, 6, plane.wake.clone()));
        let mut negotiation = Negotiation::default();
        negotiation.sending.push(Sending { outlet: Arc::clone(&outlet), mid: None });
        negotiation.offered(&sections(&section("3", "sendonly", "door cam")));
        for (direction, expected) in [("recvonly", Some(106)), ("inactive", None), ("sendrecv", Some(106))] {
            negotiation.apply(&sections(&section("3", direction, "- -")), &plane);
            assert_eq!(outlet.negotiated().map(|negotiated| negotiated.codec.payload_type), expected, "{direction}");
        }
        assert_eq!(outlet.negotiated().and_then(|negotiated| negotiated.rtx), Some(107));
    }
}
