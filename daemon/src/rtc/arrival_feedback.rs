//! Transport-wide feedback about what arrived when (draft-holmer-rmcat-transport-wide-cc-extensions-01), which the other side
//! estimates the network by.
//!
//! The crate's interceptor makes it. Two things are added: it works for sources that were not declared in the session description,
//! and its timer rests when nothing arrives.

use std::sync::Arc;
use std::time::Instant;

use rtc::interceptor::{
    Interceptor, Packet, RTCPFeedback, RTPHeaderExtension, StreamInfo, TaggedPacket, TwccReceiverBuilder,
    TwccReceiverInterceptor,
};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

use super::plane::Plane;
use super::sdp::TRANSPORT_CC_URI;

/// The interceptor.
pub(super) struct ArrivalFeedback {
    plane: Arc<Plane>,
    version: u64,
    bound: Option<StreamInfo>,
    maker: TwccReceiverInterceptor,
    /// Something arrived since the last feedback.
    fresh: bool,
}

impl ArrivalFeedback {
    pub(super) fn new(plane: Arc<Plane>) -> Self {
        Self { plane, version: 0, bound: None, maker: TwccReceiverBuilder::new().build(), fresh: false }
    }

    fn refresh(&mut self) {
        let version = self.plane.version();
        if version == self.version {
            return;
        }
        self.version = version;
        let id = self.plane.table().transport_cc;
        if id
            == self
                .bound
                .as_ref()
                .and_then(|info| info.rtp_header_extensions.first())
                .map(|extension| extension.id as u8)
        {
            return;
        }
        if let Some(info) = self.bound.take() {
            self.maker.unbind_remote_stream(&info);
        }
        if let Some(id) = id {
            // One stream without packets stands for all: the maker then looks at every packet.
            let info = StreamInfo {
                rtcp_feedback: vec![RTCPFeedback { typ: "transport-cc".to_owned(), parameter: String::new() }],
                rtp_header_extensions: vec![RTPHeaderExtension { uri: TRANSPORT_CC_URI.to_owned(), id: u16::from(id) }],
                ..StreamInfo::default()
            };
            self.maker.bind_remote_stream(&info);
            self.bound = Some(info);
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for ArrivalFeedback {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.refresh();
        self.fresh |= matches!(message.message.packet, Packet::Rtp(_));
        self.maker.handle_read(message)
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.maker.poll_read()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.maker.handle_write(message)
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.maker.poll_write()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if self.fresh {
            if self.maker.poll_timeout().is_some_and(|due| due <= now) {
                self.fresh = false;
            }
            self.maker.handle_timeout(now)?;
        }
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        if self.fresh && self.bound.is_some() { self.maker.poll_timeout() } else { None }
    }
}

impl Interceptor for ArrivalFeedback {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
