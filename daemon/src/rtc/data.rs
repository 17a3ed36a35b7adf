//! The two data channels of LiveKit's protocol.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use webrtc::data_channel::{DataChannel, DataChannelEvent};

use super::error::RtcError;
use super::peer::PeerEvent;

/// Label of the ordered channel without loss.
pub(super) const RELIABLE: &str = "_reliable";
/// Label of the unordered channel without retransmissions.
pub(super) const LOSSY: &str = "_lossy";

struct Open {
    channel: Arc<dyn DataChannel>,
    state: watch::Receiver<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    Closed,
}

/// The channels of one connection. Those that we opened are preferred for sending; in a connection where the other side opens them,
/// theirs are used.
pub(super) struct Channels {
    events: UnboundedSender<PeerEvent>,
    open: Mutex<HashMap<bool, Open>>,
}

impl Channels {
    pub(super) fn new(events: UnboundedSender<PeerEvent>) -> Self {
        Self { events, open: Mutex::default() }
    }

    /// Serves a channel until it closes. `open`: it is open already.
    pub(super) fn add(&self, reliable: bool, channel: Arc<dyn DataChannel>, open: bool) {
        let (tell, state) = watch::channel(if open { State::Open } else { State::Opening });
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(reliable, Open { channel: Arc::clone(&channel), state });
        let events = self.events.clone();
        tokio::spawn(async move {
            while let Some(event) = channel.poll().await {
                match event {
                    DataChannelEvent::OnOpen => {
                        tell.send_replace(State::Open);
                    }
                    DataChannelEvent::OnMessage(message) => {
                        let event = PeerEvent::Data { reliable, bytes: message.data.freeze() };
                        if events.send(event).is_err() {
                            break;
                        }
                    }
                    DataChannelEvent::OnClose => break,
                    _ => {}
                }
            }
            tell.send_replace(State::Closed);
        });
    }

    /// The channel of a label, if it is one of ours.
    pub(super) fn kind(label: &str) -> Option<bool> {
        match label {
            RELIABLE => Some(true),
            LOSSY => Some(false),
            _ => None,
        }
    }

    /// Sends a message, waiting until the channel is open and has room.
    pub(super) async fn send(&self, reliable: bool, bytes: &Bytes) -> Result<(), RtcError> {
        let (channel, mut state) = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let open = open.get(&reliable).ok_or(RtcError::ChannelNotOpen)?;
            (Arc::clone(&open.channel), open.state.clone())
        };
        let state = *state.wait_for(|state| *state != State::Opening).await.map_err(|_| RtcError::Closed)?;
        if state == State::Closed {
            return Err(RtcError::Closed);
        }
        Ok(channel.send(BytesMut::from(bytes.as_ref())).await?)
    }

    /// Forgets the channels, so that nothing holds the connection.
    pub(super) fn clear(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
