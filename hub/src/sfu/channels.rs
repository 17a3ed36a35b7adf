//! The data channels of a peer connection.

use std::collections::VecDeque;
use std::time::Instant;

use str0m::channel::ChannelId;

use super::Side;
use super::peer::Peer;
use crate::limits::{Bucket, Rate};

/// Bytes of reliable data that may wait for a slow receiver before new ones are dropped.
const BACKLOG: usize = 8 << 20;
/// The same, before the receiver has opened its data channel.
const EARLY_BACKLOG: usize = 64 << 10;
/// Largest data packet, with room for its sender's name: clients take no larger one.
const DATA_SIZE: usize = 65_000;
/// What SCTP may hold unacknowledged.
pub const SCTP_BUFFER: usize = 1 << 20;

/// Which of LiveKit's data channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelKind {
    /// Ordered and complete.
    Reliable,
    /// May lose packets.
    Lossy,
    /// Packets of data tracks, may lose some.
    Track,
}

/// Data channels that a client opened, and what waits for them.
#[derive(Debug)]
pub struct Channels {
    reliable: Option<ChannelId>,
    lossy: Option<ChannelId>,
    data_track: Option<ChannelId>,
    backlog: VecDeque<Vec<u8>>,
    backlog_bytes: usize,
    /// What it may send of data.
    allowance: Bucket,
    /// Some of its data was dropped, and that was said.
    is_data_dropped: bool,
}

impl Channels {
    /// None yet.
    pub fn new(now: Instant) -> Channels {
        Channels {
            reliable: None,
            lossy: None,
            data_track: None,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            allowance: Bucket::new(now),
            is_data_dropped: false,
        }
    }
}

impl Peer {
    /// The client opened a data channel.
    pub fn channel_open(&mut self, id: ChannelId, label: &str) {
        match label {
            "_reliable" => self.channels.reliable = Some(id),
            "_lossy" => self.channels.lossy = Some(id),
            "_data_track" => self.channels.data_track = Some(id),
            _ => return,
        }
        if let Some(mut channel) = self.rtc.channel(id) {
            channel.set_buffered_amount_low_threshold(SCTP_BUFFER / 4);
        }
    }

    /// A data channel is gone.
    pub fn channel_closed(&mut self, id: ChannelId) {
        self.channels.reliable = self.channels.reliable.filter(|open| *open != id);
        self.channels.lossy = self.channels.lossy.filter(|open| *open != id);
        self.channels.data_track = self.channels.data_track.filter(|open| *open != id);
    }

    /// Which of LiveKit's channels this is.
    pub fn channel_kind(&self, id: ChannelId) -> Option<ChannelKind> {
        match id {
            _ if self.channels.reliable == Some(id) => Some(ChannelKind::Reliable),
            _ if self.channels.lossy == Some(id) => Some(ChannelKind::Lossy),
            _ if self.channels.data_track == Some(id) => Some(ChannelKind::Track),
            _ => None,
        }
    }

    /// Whether a data packet of `bytes` goes on: not when it is too large, or when too many came before it.
    pub fn may_send(&mut self, bytes: usize, rate: Rate, now: Instant) -> bool {
        let cost = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).max(1);
        let may = bytes <= DATA_SIZE && self.channels.allowance.take(rate, cost, now).is_ok();
        if !may && !self.channels.is_data_dropped {
            log::info!("{}: sends too much data, and some of it is dropped", self.member.identity);
        }
        self.channels.is_data_dropped |= !may;
        may
    }

    /// Whether data is sent here: the client opened its data channels, or is about to, and the packet can wait for that.
    pub fn takes_data(&self, kind: ChannelKind) -> bool {
        if kind == ChannelKind::Track {
            return self.channels.data_track.is_some();
        }
        let is_open = self.channels.reliable.is_some() || self.channels.lossy.is_some();
        is_open || (kind == ChannelKind::Reliable && self.id.side == Side::Publisher)
    }

    /// Sends a data packet; what a full channel that may lose packets does not take is dropped, reliable packets wait.
    pub fn send_data(&mut self, kind: ChannelKind, bytes: &[u8]) {
        match kind {
            ChannelKind::Lossy => drop(self.write_channel(self.channels.lossy, bytes)),
            ChannelKind::Track => drop(self.write_channel(self.channels.data_track, bytes)),
            ChannelKind::Reliable
                if self.channels.backlog.is_empty() && self.write_channel(self.channels.reliable, bytes) => {}
            // It may be one that never opens a data channel.
            ChannelKind::Reliable
                if self.channels.reliable.is_none() && self.channels.backlog_bytes + bytes.len() > EARLY_BACKLOG => {}
            ChannelKind::Reliable if self.channels.backlog_bytes + bytes.len() > BACKLOG => {
                log::warn!("{}: too slow for the data sent to it, a packet is dropped", self.member.identity);
            }
            ChannelKind::Reliable => {
                self.channels.backlog_bytes += bytes.len();
                self.channels.backlog.push_back(bytes.to_vec());
            }
        }
    }

    /// Sends what waited, as far as it goes now.
    pub fn flush_data(&mut self) {
        while let Some(bytes) = self.channels.backlog.pop_front() {
            if !self.write_channel(self.channels.reliable, &bytes) {
                self.channels.backlog.push_front(bytes);
                return;
            }
            self.channels.backlog_bytes -= bytes.len();
        }
    }

    fn write_channel(&mut self, id: Option<ChannelId>, bytes: &[u8]) -> bool {
        let Some(mut channel) = id.and_then(|id| self.rtc.channel(id)) else { return false };
        channel.write(true, bytes).unwrap_or(false)
    }
}
