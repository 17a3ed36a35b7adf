//! One participant and what the others see of it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use livekit_protocol as proto;
use proto::participant_info::{Kind, State};
use zego_protocol::token::Claims;

use super::data_tracks::DataTracks;
use super::layers::Taken;
use super::negotiate::PendingAnswer;
use super::subscribe::Section;
use super::viewer::Watch;
use super::{ConnectionKey, Path};
use crate::sfu::{LastSequence, PeerId, Rating, RoomKey, Side, TrackKey, TrackKind, Wish};

/// A track that a participant publishes.
#[derive(Debug)]
pub struct Publication {
    /// The forwarding unit's name for it.
    pub key: TrackKey,
    /// What others are told about it.
    pub info: proto::TrackInfo,
    /// Names under which the client's descriptions may refer to it.
    pub cids: Vec<String>,
    /// ZEGO stream that it belongs to.
    pub stream_id: String,
    /// Codec that the client wants to send, upper case, empty when it did not say.
    pub codec: String,
    /// Section of the publisher's peer connection, once negotiated.
    pub mid: Option<String>,
    /// Two channels of sound.
    pub stereo: bool,
    /// Others know of it.
    pub announced: bool,
    /// Somebody received it once.
    pub subscribed: bool,
    /// What its publisher was told of its layers.
    pub taken: Taken,
    /// How loud it is, in [`LOUDNESS_STEPS`](crate::sfu::LOUDNESS_STEPS).
    pub loudness: u8,
}

impl Publication {
    /// Sound or pictures.
    pub fn kind(&self) -> TrackKind {
        if self.info.r#type == proto::TrackType::Video as i32 { TrackKind::Video } else { TrackKind::Audio }
    }

    /// Its publisher may stop sending while it is silent.
    #[allow(deprecated)] // Older clients forbid it by a field of its own.
    pub fn may_pause(&self) -> bool {
        !self.info.disable_dtx && !self.info.audio_features.contains(&(proto::AudioTrackFeature::TfNoDtx as i32))
    }

    /// Its publisher may send its sound with redundancy (RFC 2198). Of content that is encrypted nothing could be
    /// unpacked for those who take none.
    pub fn is_redundant(&self) -> bool {
        self.kind() == TrackKind::Audio
            && !self.info.disable_red
            && self.info.encryption == proto::encryption::Type::None as i32
    }
}

/// A member of a room.
#[derive(Debug)]
pub struct Participant {
    /// A ZEGO client's own number for its login; empty for others.
    pub login: String,
    /// Its signalling connection; `None` while that is lost.
    pub connection: Option<ConnectionKey>,
    /// Its room.
    pub room: RoomKey,
    /// Public id.
    pub sid: String,
    /// User id.
    pub identity: String,
    /// User name.
    pub name: String,
    /// Free text about it.
    pub metadata: String,
    /// Free key-value pairs about it.
    pub attributes: HashMap<String, String>,
    /// What its token grants.
    pub claims: Claims,
    /// One or two peer connections.
    pub path: Path,
    /// Version of LiveKit's protocol that its client speaks.
    pub protocol: i32,
    /// What its client can do for other clients; passed on, not interpreted.
    pub client_protocol: i32,
    /// Likewise.
    pub capabilities: Vec<i32>,
    /// Whether `stereo=1` in its offer has to tell that it sends two channels, because its client does not say so in AddTrack. The
    /// JavaScript SDK does, and writes `stereo=1` everywhere.
    pub stereo_by_offer: bool,
    /// Receives every track without asking.
    pub auto_subscribe: bool,
    /// Its media connection was up at least once.
    pub active: bool,
    /// When it joined.
    pub joined_at: Instant,
    /// The same in milliseconds since 1970.
    pub joined_ms: i64,
    /// Counts what others were told about it.
    pub version: u32,
    /// Last message on its signalling connection.
    pub last_heard: Instant,
    /// When its signalling connection was lost.
    pub lost_at: Option<Instant>,
    /// Since when nothing comes from its media connection.
    pub silent_since: Option<Instant>,
    /// When its media connection ended.
    pub media_ended_at: Option<Instant>,
    /// What it publishes.
    pub published: Vec<Publication>,
    /// Its data tracks, and those that it receives.
    pub data: DataTracks,
    /// Tracks that it asked for (true) or asked not to get (false).
    pub wishes: HashMap<TrackKey, bool>,
    /// How it shows tracks, where it said so.
    pub shows: HashMap<TrackKey, Wish>,
    /// Who may receive its tracks, once it said so.
    pub audience: Option<proto::SubscriptionPermission>,
    /// Tracks of others that it may not receive, as it was told.
    pub denied: HashSet<TrackKey>,
    /// Sections in which it receives.
    pub sections: Vec<Section>,
    /// Offers of its client that the forwarding unit has not answered yet.
    pub pending: VecDeque<PendingAnswer>,
    /// A renegotiation was asked for and has not begun.
    pub asked: bool,
    /// Sections that the client was asked to add and has not offered yet: sound, pictures.
    pub promised: (u32, u32),
    /// The second peer connection exists (two connections only).
    pub has_subscriber_peer: bool,
    /// An offer of the hub is on its way (two connections only).
    pub offering: bool,
    /// Numbers offers and answers.
    pub last_offer_id: u32,
    /// What an administrator lets it do, in the place of what its token does.
    pub permission: Option<proto::ParticipantPermission>,
    /// What it came to watch, if it is a viewer.
    pub watch: Option<Watch>,
    /// Its last reliable data packet.
    pub last_sequence: LastSequence,
    /// How loud it is, as its room was told.
    pub speaking: u8,
    /// How good its connection is, once that is known.
    pub rating: Option<Rating>,
    /// When its client got its last token.
    pub refreshed_at: Instant,
}

impl Participant {
    /// What others are told.
    pub fn info(&self) -> proto::ParticipantInfo {
        let state = if self.active { State::Active } else { State::Joined };
        proto::ParticipantInfo {
            sid: self.sid.clone(),
            identity: self.identity.clone(),
            state: state as i32,
            tracks: self.published.iter().filter(|p| p.announced).map(|p| p.info.clone()).collect(),
            metadata: self.metadata.clone(),
            joined_at: self.joined_ms / 1000,
            joined_at_ms: self.joined_ms,
            name: self.name.clone(),
            version: self.version,
            permission: Some(self.permission()),
            is_publisher: self.is_publisher(),
            data_tracks: self.data.infos(),
            kind: kind(&self.claims.participant_kind) as i32,
            attributes: self.attributes.clone(),
            client_protocol: self.client_protocol,
            capabilities: self.capabilities.clone(),
            ..Default::default()
        }
    }

    /// Whether it publishes anything that others know of.
    pub fn is_publisher(&self) -> bool {
        self.published.iter().any(|p| p.announced) || !self.data.published.is_empty()
    }

    fn permission(&self) -> proto::ParticipantPermission {
        proto::ParticipantPermission {
            can_subscribe: self.claims.can_subscribe,
            can_publish: self.claims.can_publish,
            can_publish_data: self.claims.can_publish_data,
            can_publish_sources: self.claims.publish_sources.iter().map(|s| source(s) as i32).collect(),
            hidden: self.claims.hidden,
            can_update_metadata: self.claims.can_update_own_metadata,
            ..Default::default()
        }
    }

    /// Lets it do what `permission` says from now on, whatever its token grants.
    pub fn permit(&mut self, permission: proto::ParticipantPermission) {
        self.permission = Some(permission);
        self.keep_permission();
    }

    /// Writes what an administrator lets it do over what a token grants.
    pub fn keep_permission(&mut self) {
        let Some(permission) = &self.permission else { return };
        self.claims.can_subscribe = permission.can_subscribe;
        self.claims.can_publish = permission.can_publish;
        self.claims.can_publish_data = permission.can_publish_data;
        self.claims.publish_sources = permission.can_publish_sources().map(source_word).map(str::to_owned).collect();
        self.claims.hidden = permission.hidden;
        self.claims.can_update_own_metadata = permission.can_update_metadata;
    }

    /// Whether it may publish from this source.
    pub fn may_publish_from(&self, wanted: i32) -> bool {
        may_publish_from(&self.claims, wanted)
    }

    /// Changes what is told about it: empty texts change nothing, an attribute with an empty value goes.
    pub fn describe(&mut self, name: &str, metadata: &str, attributes: &HashMap<String, String>) {
        if !name.is_empty() {
            self.name = name.to_owned();
        }
        if !metadata.is_empty() {
            self.metadata = metadata.to_owned();
        }
        for (name, value) in attributes {
            if value.is_empty() {
                self.attributes.remove(name);
            } else {
                self.attributes.insert(name.clone(), value.clone());
            }
        }
    }

    /// The peer connection that delivers tracks to it.
    pub fn delivering_peer(&self, key: u64) -> PeerId {
        let side = match self.path {
            Path::One | Path::Once => Side::Publisher,
            Path::Two => Side::Subscriber,
        };
        PeerId { participant: key, side }
    }

    /// One of its publications by its public id.
    pub fn publication(&mut self, sid: &str) -> Option<&mut Publication> {
        self.published.iter_mut().find(|p| p.info.sid == sid)
    }
}

/// Whether a token lets its user publish from this source.
pub fn may_publish_from(claims: &Claims, wanted: i32) -> bool {
    let sources = &claims.publish_sources;
    claims.can_publish && (sources.is_empty() || sources.iter().any(|word| source(word) as i32 == wanted))
}

/// What kind of participant a token's word names.
pub fn kind(word: &str) -> Kind {
    match word {
        "ingress" => Kind::Ingress,
        "egress" => Kind::Egress,
        "sip" => Kind::Sip,
        "agent" => Kind::Agent,
        _ => Kind::Standard,
    }
}

/// The word that tokens use for a track's source.
fn source_word(source: proto::TrackSource) -> &'static str {
    match source {
        proto::TrackSource::Camera => "camera",
        proto::TrackSource::Microphone => "microphone",
        proto::TrackSource::ScreenShare => "screen_share",
        proto::TrackSource::ScreenShareAudio => "screen_share_audio",
        proto::TrackSource::Unknown => "unknown",
    }
}

/// A track's source by the word that tokens use for it.
pub fn source(word: &str) -> proto::TrackSource {
    match word {
        "camera" => proto::TrackSource::Camera,
        "microphone" => proto::TrackSource::Microphone,
        "screen_share" => proto::TrackSource::ScreenShare,
        "screen_share_audio" => proto::TrackSource::ScreenShareAudio,
        _ => proto::TrackSource::Unknown,
    }
}
