//! Rooms by LiveKit's protocol.
//!
//! A task of its own keeps one session: commands, the server's messages and the peer connection's news come in, messages and
//! events go out. What is decided is decided in [`offers`], [`wants`], [`published`] and [`super::room`], without sockets.

mod address;
mod attributes;
mod commands;
mod connect;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod health;
mod inbound;
mod layer;
mod locate;
mod offers;
mod packets;
mod published;
mod recovery;
mod refusal;
mod renewal;
mod server_clock;
mod task;
mod text_streams;
mod wants;

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use zego_protocol::state::{StreamDeleteReason, ZegoRemoteDeviceState};

use super::error::{DisconnectReason, SignalError};
use super::extra_info::RoomExtraInfo;
use super::room::{RemoteStream, User};
use crate::audio::Channels;
use crate::network::Network;
use crate::rtc::{MediaKind, MediaReceiver, MediaSender, NetworkConfig, PeerStatistics};
pub(in crate::signal) use commands::Command;
pub use layer::LayerWish;
pub use locate::Search;
pub use packets::DataMessage;
use task::Task;

/// What is needed to join a room.
#[derive(Clone)]
pub struct JoinOptions {
    /// ws:// or wss:// URL of the server, or `auto`.
    pub server: String,
    /// What `auto` looks for.
    pub search: Search,
    /// token04 (hub only) or JWT.
    pub token: String,
    /// ZEGO's room id, LiveKit's room name.
    pub room_id: String,
    /// ZEGO's user id, LiveKit's identity.
    pub user_id: String,
    /// ZEGO's user name, LiveKit's name.
    pub user_name: String,
    /// What our own server wants to know about the login.
    pub membership: Membership,
    /// ICE servers and interfaces. ICE servers that the room server names are not used: its own address can be reached.
    pub network: NetworkConfig,
}

/// What our own server wants to know about a login; others do not hear of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// A number of the login's own, the same for as long as it lasts.
    pub login: String,
    /// We were in the room before, by this login, and come back.
    pub returns: bool,
    /// We neither see nor are seen among the users.
    pub quiet: bool,
    /// Most people in the room, if we are the first there; 0 = no limit.
    pub max_members: u32,
}

/// What was found in the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The server's URL, as it was given or found.
    pub server: String,
    /// The server's id of the room, different every time the room is made.
    pub room_sid: String,
    /// Everybody else who lets itself be seen.
    pub users: Vec<User>,
    /// What others publish.
    pub streams: Vec<RemoteStream>,
    /// How many others there are, seen or not.
    pub others: usize,
    /// The room's extra information.
    pub extra_info: Option<RoomExtraInfo>,
}

/// What to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishRequest {
    /// ZEGO's stream id.
    pub stream_id: String,
    /// Publish an audio track with so many channels.
    pub audio: Option<Channels>,
    /// Publish a video track of this width and height.
    pub video: Option<(u32, u32)>,
    /// Text for everybody in the room, empty = none. With a token that does not allow it the stream is not published.
    pub extra_info: String,
}

/// Where the media of a published stream goes.
#[derive(Clone)]
pub struct Publication {
    /// The audio track, when one was wished.
    pub audio: Option<MediaSender>,
    /// The video track, when one was wished.
    pub video: Option<MediaSender>,
}

/// Resolves when the server knows that something has ended; with an error when it cannot be told.
pub type Told = oneshot::Receiver<()>;

/// News of a session. In order: a stream is announced after its user and removed before it.
pub enum SessionEvent {
    /// Somebody came.
    UserJoined(User),
    /// Somebody went; the streams were removed before.
    UserLeft(User),
    /// A stream appeared with its first track.
    StreamAdded(RemoteStream),
    /// A track came or went, a mute or the extra info changed.
    StreamChanged(RemoteStream),
    /// The last track of a stream went. A subscription to it ends with it.
    StreamRemoved(RemoteStream, StreamDeleteReason),
    /// So many others are in the room, seen or not.
    Others(usize),
    /// Somebody changed the room's extra information.
    RoomExtraInfo(RoomExtraInfo),
    /// Media of a subscribed stream can arrive.
    Media {
        /// ZEGO's stream id.
        stream_id: String,
        /// Takes the packets.
        receiver: MediaReceiver,
    },
    /// No more media of this kind comes for the stream.
    MediaEnded {
        /// ZEGO's stream id.
        stream_id: String,
        /// Sound or picture.
        kind: MediaKind,
    },
    /// A data message of a participant.
    Data {
        /// Who sent it; id and name are empty for the server itself.
        from: User,
        /// The message's topic.
        topic: String,
        /// The message.
        payload: Vec<u8>,
        /// Its number, if it has one, as the sender writes it.
        id: Option<String>,
        /// When it was sent, Unix milliseconds, if the sender says.
        sent_at_ms: Option<u64>,
        /// Sent reliably.
        reliable: bool,
    },
    /// The connection was lost; it is being taken up again.
    Reconnecting,
    /// The connection is back, media goes on.
    Reconnected,
    /// The session has ended, and not because [`Session::leave`] was called; nothing follows.
    Disconnected(DisconnectReason),
}

/// One room that we are in. Cheap to clone; a task of its own does the work and ends with [`Session::leave`], with a
/// `Disconnected`, or with the last clone.
#[derive(Clone)]
pub struct Session {
    commands: UnboundedSender<Command>,
}

impl Session {
    /// A handle of a task that takes these commands.
    pub(in crate::signal) const fn new(commands: UnboundedSender<Command>) -> Self {
        Self { commands }
    }

    /// Joins a room: returns when the server has taken us in. The peer connection comes up behind it.
    ///
    /// # Errors
    /// [`SignalError::Refused`], [`SignalError::Unreachable`], [`SignalError::NotFound`], [`SignalError::Timeout`],
    /// [`SignalError::BadAddress`], [`SignalError::Protocol`].
    pub async fn join(
        options: JoinOptions,
        events: UnboundedSender<SessionEvent>,
    ) -> Result<(Self, Joined), SignalError> {
        let connected = connect::connect(&options).await?;
        let (commands, inbox) = unbounded_channel();
        let (task, joined) = Task::new(&options, connected, inbox, events);
        tokio::spawn(task.run());
        Ok((Self { commands }, joined))
    }

    /// Gives the task a command and waits for its answer.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, SignalError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).map_err(|_| SignalError::Ended)?;
        answer.await.map_err(|_| SignalError::Ended)
    }

    /// Publishes a stream; its senders become ready when the connection is.
    ///
    /// # Errors
    /// [`SignalError::Refused`] (for instance 1003028: the stream id is taken), [`SignalError::Timeout`], [`SignalError::Ended`].
    pub async fn publish(&self, request: PublishRequest) -> Result<Publication, SignalError> {
        self.ask(|reply| Command::Publish(request, reply)).await?
    }

    /// Stops publishing a stream. What is returned resolves when the server knows it, or with an error when it cannot be told.
    ///
    /// # Errors
    /// [`SignalError::UnknownStream`], [`SignalError::Ended`].
    pub async fn unpublish(&self, stream_id: &str) -> Result<Told, SignalError> {
        self.ask(|reply| Command::Unpublish(stream_id.to_owned(), reply)).await?
    }

    /// Shows the others the state of the device behind a track of ours: anything but open mutes it. The media itself is stopped by
    /// whoever sends it.
    pub fn show_device(&self, stream_id: &str, kind: MediaKind, state: ZegoRemoteDeviceState) {
        // Of a session that has ended, nobody needs to know.
        let _ = self.commands.send(Command::ShowDevice(stream_id.to_owned(), kind, state));
    }

    /// Asks for the media of a stream; it arrives as [`SessionEvent::Media`], also for a track of the stream that appears later.
    /// Called again, it changes which kinds and which layer are wanted.
    ///
    /// # Errors
    /// [`SignalError::UnknownStream`], [`SignalError::Ended`].
    pub async fn subscribe(
        &self,
        stream_id: &str,
        audio: bool,
        video: bool,
        layer: LayerWish,
    ) -> Result<(), SignalError> {
        self.ask(|reply| Command::Subscribe(stream_id.to_owned(), audio, video, layer, reply)).await?
    }

    /// Gives a stream's media up.
    pub async fn unsubscribe(&self, stream_id: &str) {
        // Of a session that has ended, nothing arrives anyway.
        let _ = self.ask(|reply| Command::Unsubscribe(stream_id.to_owned(), reply)).await;
    }

    /// Changes the extra information of a stream that we publish.
    ///
    /// # Errors
    /// [`SignalError::UnknownStream`], [`SignalError::Refused`], [`SignalError::Timeout`], [`SignalError::Ended`].
    pub async fn set_extra_info(&self, stream_id: &str, text: &str) -> Result<(), SignalError> {
        self.ask(|reply| Command::ExtraInfo(stream_id.to_owned(), text.to_owned(), reply)).await?
    }

    /// Changes the room's extra information: returns when the server has taken it.
    ///
    /// # Errors
    /// [`SignalError::Refused`] (for instance 1002017: another key is in use), [`SignalError::Timeout`], [`SignalError::Ended`].
    pub async fn set_room_extra_info(&self, info: RoomExtraInfo) -> Result<(), SignalError> {
        self.ask(|reply| Command::RoomExtraInfo(info, reply)).await?
    }

    /// Shows the server a new token for a session that runs, or will again.
    ///
    /// # Errors
    /// [`SignalError::Refused`] when it is not good; [`SignalError::Unreachable`], [`SignalError::NotFound`],
    /// [`SignalError::Timeout`] when nobody says so.
    pub async fn renew_token(options: &JoinOptions) -> Result<(), SignalError> {
        renewal::renew(options).await
    }

    /// Sends a data message.
    ///
    /// # Errors
    /// [`SignalError::Ended`], [`SignalError::Rtc`].
    pub async fn send_data(&self, message: DataMessage) -> Result<(), SignalError> {
        let reliable = message.reliable;
        let (peer, packets) = self.ask(|reply| Command::Data(message, reply)).await?;
        for bytes in packets {
            peer.send_data(reliable, bytes).await?;
        }
        Ok(())
    }

    /// Counters of the peer connections, zero after the end.
    pub async fn statistics(&self) -> PeerStatistics {
        let Ok(peers) = self.ask(Command::Peers).await else { return PeerStatistics::default() };
        let mut sum = PeerStatistics::default();
        for peer in peers {
            let one = peer.statistics().await;
            sum.rtt = sum.rtt.or(one.rtt);
            sum.packets_sent += one.packets_sent;
            sum.bytes_sent += one.bytes_sent;
            sum.packets_received += one.packets_received;
            sum.bytes_received += one.bytes_received;
            sum.packets_lost += one.packets_lost;
        }
        sum
    }

    /// The network changed: a session whose way to the server that concerns is taken up again, and one that is being taken up tries
    /// again at once. Any other is not touched.
    pub fn network_changed(&self, network: Arc<Network>) {
        // A session that has ended does not mind.
        let _ = self.commands.send(Command::Network(network));
    }

    /// Leaves the room: the server is told, sockets and tasks are gone on return. No event follows.
    pub async fn leave(&self) {
        // A session that has ended was left already.
        let _ = self.ask(Command::Leave).await;
    }
}
