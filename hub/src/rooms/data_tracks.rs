//! Data tracks: named streams of small frames (a sensor's values, a robot's position) that go to those who ask for them.
//!
//! A publisher numbers its tracks, and so does the hub for each subscriber; packets carry these handles. Here is decided who publishes
//! and receives what, the forwarding unit changes the handles.

use livekit_protocol as proto;
use proto::data_track_subscriber_handles::PublishedDataTrack;
use proto::request_response::{Reason, Request as Refused};
use proto::signal_response::Message as Response;

use super::bounds::Excess;
use super::participant::Participant;
use super::{Rooms, message};
use crate::sfu::{Command, ParticipantKey, TrackKey};

/// Longest name of a track, of a schema and of an encoding, in bytes, as in livekit-server.
const NAME: usize = 256;

/// A data track that a participant publishes.
#[derive(Debug)]
pub struct DataTrack {
    /// Its name here.
    pub key: TrackKey,
    /// What others are told.
    pub info: proto::DataTrackInfo,
}

/// What a participant has to do with data tracks.
#[derive(Debug, Default)]
pub struct DataTracks {
    /// What it publishes.
    pub published: Vec<DataTrack>,
    /// What it receives, and under which handle.
    received: Vec<(u16, TrackKey)>,
    last_handle: u16,
    /// It wants all that there are.
    receives_all: bool,
}

impl DataTracks {
    /// None yet; of others' it gets all that there are, or those that it asks for.
    pub fn new(receives_all: bool) -> DataTracks {
        DataTracks { receives_all, ..DataTracks::default() }
    }

    /// What others are told.
    pub fn infos(&self) -> Vec<proto::DataTrackInfo> {
        self.published.iter().map(|track| track.info.clone()).collect()
    }

    /// Whether it receives any.
    pub fn is_receiving(&self) -> bool {
        !self.received.is_empty()
    }

    fn receives(&self, track: TrackKey) -> bool {
        self.received.iter().any(|(_, received)| *received == track)
    }

    /// Receives a track under a handle that was not in use lately.
    fn receive(&mut self, track: TrackKey) {
        // More than the handles there are can't be received: tracks are limited.
        loop {
            self.last_handle = self.last_handle.wrapping_add(1).max(1);
            if !self.received.iter().any(|(handle, _)| *handle == self.last_handle) {
                break;
            }
        }
        self.received.push((self.last_handle, track));
    }
}

/// Why a track cannot be published.
fn fault(request: &proto::PublishDataTrackRequest, published: &[DataTrack]) -> Option<(Reason, &'static str)> {
    let is_name = |name: &str| (1..=NAME).contains(&name.len());
    let encoding = request.frame_encoding.as_ref().and_then(|encoding| encoding.value.as_ref());
    let is_encoding = match encoding {
        Some(proto::data_track_frame_encoding::Value::Custom(name)) => is_name(name),
        _ => true,
    };
    let schema_encoding = request.schema.as_ref().and_then(|schema| schema.encoding.as_ref()?.value.as_ref());
    let is_schema = request.schema.as_ref().is_none_or(|schema| is_name(&schema.name))
        && match schema_encoding {
            Some(proto::data_track_schema_encoding::Value::Custom(name)) => is_name(name),
            _ => true,
        };
    match request {
        _ if !(1..=u32::from(u16::MAX)).contains(&request.pub_handle) => {
            Some((Reason::InvalidHandle, "A data track's handle is a number from 1 to 65535"))
        }
        _ if !is_name(&request.name) => {
            Some((Reason::InvalidName, "A data track has a name of at most 256 characters"))
        }
        _ if !is_encoding || !is_schema => {
            Some((Reason::InvalidRequest, "An encoding and a schema have names of at most 256 characters"))
        }
        _ if published.iter().any(|track| track.info.pub_handle == request.pub_handle) => {
            Some((Reason::DuplicateHandle, "The participant publishes another data track with this handle"))
        }
        _ if published.iter().any(|track| track.info.name == request.name) => {
            Some((Reason::DuplicateName, "The participant publishes another data track of this name"))
        }
        _ => None,
    }
}

impl Rooms {
    /// A client wants to publish a data track.
    pub(super) fn publish_data_track(&mut self, key: ParticipantKey, request: proto::PublishDataTrackRequest) {
        let most = self.settings.limits.tracks_per_participant;
        let Some(person) = self.people.get(&key) else { return };
        let published = &person.data.published;
        let fault = match fault(&request, published) {
            _ if !person.claims.can_publish_data => {
                Some((Reason::NotAllowed, "The token does not allow publishing data".to_owned()))
            }
            Some((reason, message)) => Some((reason, message.to_owned())),
            None if published.len() >= most as usize => Some((Reason::LimitExceeded, Excess::Tracks(most).to_string())),
            None => None,
        };
        if let Some((reason, message)) = fault {
            let refusal = message::outcome(0, reason, message, Some(Refused::PublishDataTrack(echo(request))));
            self.send(key, refusal);
            return;
        }
        let (track, sid) = (self.new_key(), self.new_sid("DTR_"));
        let proto::PublishDataTrackRequest { pub_handle, name, encryption, frame_encoding, schema } = request;
        let info = proto::DataTrackInfo { pub_handle, sid, name, encryption, frame_encoding, schema };
        let Some(person) = self.people.get_mut(&key) else { return };
        log::info!("{} publishes the data track {}", person.identity, info.name);
        person.data.published.push(DataTrack { key: track, info: info.clone() });
        let sid = info.sid.clone();
        self.send(key, Response::PublishDataTrackResponse(proto::PublishDataTrackResponse { info: Some(info) }));
        self.announce(key);
        for member in self.room_members(key) {
            if self.receive_unasked(member, key, track, &sid) {
                self.tell_data_handles(member);
            }
        }
    }

    /// Gives somebody who joined, and said that it wants all data tracks, those that there are.
    pub(super) fn receive_all_data(&mut self, key: ParticipantKey) {
        let mut received = false;
        for owner in self.room_members(key) {
            let published = self.people.get(&owner).map(|owner| owner.data.published.as_slice()).unwrap_or_default();
            let tracks: Vec<_> = published.iter().map(|track| (track.key, track.info.sid.clone())).collect();
            for (track, sid) in tracks {
                received |= self.receive_unasked(key, owner, track, &sid);
            }
        }
        if received {
            self.tell_data_handles(key);
        }
    }

    /// Whether `key` now receives a track because it wants all that there are.
    fn receive_unasked(&mut self, key: ParticipantKey, owner: ParticipantKey, track: TrackKey, sid: &str) -> bool {
        let wants = self.people.get(&key).is_some_and(|person| person.data.receives_all);
        if !wants || key == owner || !self.may_receive_data(owner, key, sid) {
            return false;
        }
        let Some(person) = self.people.get_mut(&key) else { return false };
        person.data.receive(track);
        self.route_data(owner, track);
        true
    }

    /// A client publishes a data track no more.
    pub(super) fn unpublish_data_track(&mut self, key: ParticipantKey, request: proto::UnpublishDataTrackRequest) {
        let Some(person) = self.people.get_mut(&key) else { return };
        let meant = |track: &DataTrack| track.info.pub_handle == request.pub_handle;
        let Some(index) = person.data.published.iter().position(meant) else {
            let message = "The participant publishes no data track with this handle".to_owned();
            let refusal = message::outcome(0, Reason::NotFound, message, Some(Refused::UnpublishDataTrack(request)));
            self.send(key, refusal);
            return;
        };
        let track = person.data.published.remove(index);
        let info = Some(track.info.clone());
        self.send(key, Response::UnpublishDataTrackResponse(proto::UnpublishDataTrackResponse { info }));
        let members = self.room_members(key);
        self.forget_data_track(key, &track, &members);
        self.announce(key);
    }

    /// A client wants to receive data tracks, or no more.
    pub(super) fn data_subscription(&mut self, key: ParticipantKey, update: &proto::UpdateDataSubscription) {
        let mut changed = false;
        for update in &update.updates {
            let Some((owner, track)) = self.data_track(key, &update.track_sid) else { continue };
            let allowed = self.may_receive_data(owner, key, &update.track_sid);
            let Some(participant_sid) = self.people.get(&owner).map(|owner| owner.sid.clone()) else { continue };
            let Some(person) = self.people.get_mut(&key) else { return };
            match (update.subscribe, person.data.receives(track)) {
                (true, false) if !allowed => {
                    let track_sid = update.track_sid.clone();
                    let refusal = proto::SubscriptionPermissionUpdate { participant_sid, track_sid, allowed };
                    self.send(key, Response::SubscriptionPermissionUpdate(refusal));
                    continue;
                }
                (true, false) => person.data.receive(track),
                (false, true) => person.data.received.retain(|(_, received)| *received != track),
                _ => continue,
            }
            changed = true;
            self.route_data(owner, track);
        }
        if changed {
            self.tell_data_handles(key);
        }
    }

    /// Takes data tracks from those who may not receive them any more, as their publisher says.
    pub(super) fn keep_data_audience(&mut self, owner: ParticipantKey) {
        let Some(person) = self.people.get(&owner) else { return };
        let tracks: Vec<_> = person.data.published.iter().map(|track| (track.key, track.info.sid.clone())).collect();
        for (track, sid) in tracks {
            let mut lost = Vec::new();
            for member in self.room_members(owner) {
                if self.may_receive_data(owner, member, &sid) {
                    continue;
                }
                let Some(person) = self.people.get_mut(&member).filter(|p| p.data.receives(track)) else { continue };
                person.data.received.retain(|(_, received)| *received != track);
                lost.push(member);
            }
            if !lost.is_empty() {
                self.route_data(owner, track);
            }
            lost.into_iter().for_each(|member| self.tell_data_handles(member));
        }
    }

    /// `person` has left its room, whose members were `members`: so have its data tracks.
    pub(super) fn forget_data_of(&mut self, key: ParticipantKey, person: &Participant, members: &[ParticipantKey]) {
        for track in &person.data.published {
            self.forget_data_track(key, track, members);
        }
        for (_, track) in &person.data.received {
            let publishes = |p: &Participant| p.data.published.iter().any(|published| published.key == *track);
            let owner = members.iter().find(|member| self.people.get(member).is_some_and(publishes)).copied();
            if let Some(owner) = owner {
                self.route_data(owner, *track);
            }
        }
    }

    /// Tells a client which track comes under which handle.
    pub(super) fn tell_data_handles(&mut self, key: ParticipantKey) {
        let Some(person) = self.people.get(&key) else { return };
        let members = self.room_members(key);
        let owners: Vec<&Participant> = members.iter().filter_map(|member| self.people.get(member)).collect();
        let named = |track: TrackKey| {
            owners.iter().find_map(|owner| {
                let published = owner.data.published.iter().find(|published| published.key == track)?;
                Some(PublishedDataTrack {
                    publisher_identity: owner.identity.clone(),
                    publisher_sid: owner.sid.clone(),
                    track_sid: published.info.sid.clone(),
                })
            })
        };
        let received = person.data.received.iter();
        let sub_handles = received.filter_map(|(handle, track)| Some((u32::from(*handle), named(*track)?))).collect();
        self.send(key, Response::DataTrackSubscriberHandles(proto::DataTrackSubscriberHandles { sub_handles }));
    }

    /// A data track that somebody in the room of `key` publishes, by its public id.
    fn data_track(&self, key: ParticipantKey, sid: &str) -> Option<(ParticipantKey, TrackKey)> {
        self.room_members(key).into_iter().find_map(|member| {
            let mut published = self.people.get(&member)?.data.published.iter();
            Some((member, published.find(|track| track.info.sid == sid)?.key))
        })
    }

    fn may_receive_data(&self, owner: ParticipantKey, subscriber: ParticipantKey, sid: &str) -> bool {
        let (Some(owner), Some(person)) = (self.people.get(&owner), self.people.get(&subscriber)) else { return false };
        person.claims.can_subscribe && owner.admits(person, sid)
    }

    /// Tells the forwarding unit where a track's packets go.
    fn route_data(&mut self, owner: ParticipantKey, track: TrackKey) {
        let Some(person) = self.people.get(&owner) else { return };
        let Some(published) = person.data.published.iter().find(|published| published.key == track) else { return };
        let Ok(handle) = u16::try_from(published.info.pub_handle) else { return };
        let to = self.room_members(owner).into_iter().flat_map(|member| {
            let received = self.people.get(&member).map(|person| person.data.received.as_slice()).unwrap_or_default();
            received.iter().filter(|(_, received)| *received == track).map(move |(handle, _)| (member, *handle))
        });
        let to = to.collect();
        self.media(Command::RouteData { from: owner, handle, to });
    }

    fn forget_data_track(&mut self, owner: ParticipantKey, track: &DataTrack, members: &[ParticipantKey]) {
        if let Ok(handle) = u16::try_from(track.info.pub_handle) {
            self.media(Command::RouteData { from: owner, handle, to: Vec::new() });
        }
        for member in members {
            let Some(person) = self.people.get_mut(member).filter(|p| p.data.receives(track.key)) else { continue };
            person.data.received.retain(|(_, received)| *received != track.key);
            self.tell_data_handles(*member);
        }
    }
}

/// A request as it is sent back: by its handle the client knows it, and what is too long is left out.
fn echo(mut request: proto::PublishDataTrackRequest) -> proto::PublishDataTrackRequest {
    if request.name.len() > NAME {
        request.name.clear();
    }
    (request.frame_encoding, request.schema) = (None, None);
    request
}
