//! What participants publish.

use livekit_protocol as proto;
use proto::request_response::{Reason, Request};
use proto::signal_request::Message as SignalRequest;
use proto::signal_response::Message as Response;
use zego_protocol::error::sentence;
use zego_protocol::token::Claims;

use super::bounds::{self, Excess};
use super::participant::{Publication, may_publish_from};
use super::{Moment, Rooms, message, news, stream};
use crate::sdp;
use crate::sfu::{ParticipantKey, TrackKey};

/// The same stream id is already being published.
const STREAM_EXISTS: i32 = 1_003_028;
/// Names that a client may have for one track: one for each codec.
const CIDS: usize = 16;
/// Codecs that everybody decodes.
const COMMON: [&str; 3] = ["OPUS", "VP8", "H264"];
/// Codecs that some decode, and no device; they have layers in one stream (SVC).
const RARER: [&str; 2] = ["VP9", "AV1"];
/// Publishing is not allowed.
const PUBLISH_DENIED: i32 = 1_003_072;

impl Rooms {
    /// A client announces a track that its next offer will carry.
    pub(super) fn add_track(&mut self, key: ParticipantKey, add: proto::AddTrackRequest, now: Moment) {
        if let Err(excess) = bounds::check_track(&add) {
            self.refuse_excess(key, SignalRequest::AddTrack(add), &excess, now);
            return;
        }
        let Some(person) = self.people.get_mut(&key) else { return };
        if let Some(known) = person.published.iter_mut().find(|p| !add.sid.is_empty() && p.info.sid == add.sid) {
            // A further codec of a published track: only one is forwarded, so its own name is all that counts.
            let more = add.simulcast_codecs.iter().map(|c| c.cid.clone());
            known.cids.extend(more.take(CIDS.saturating_sub(known.cids.len())));
            let track = Some(known.info.clone());
            self.send(key, Response::TrackPublished(proto::TrackPublishedResponse { cid: add.cid, track }));
            return;
        }
        // A client whose connection broke asks again when it heard no answer.
        let same = |p: &&Publication| p.mid.is_none() && !add.cid.is_empty() && p.cids.contains(&add.cid);
        if let Some(known) = person.published.iter().find(same) {
            let track = Some(known.info.clone());
            self.send(key, Response::TrackPublished(proto::TrackPublishedResponse { cid: add.cid, track }));
            return;
        }
        if person.published.len() >= self.settings.limits.tracks_per_participant as usize {
            let excess = Excess::Tracks(self.settings.limits.tracks_per_participant);
            self.refuse_excess(key, SignalRequest::AddTrack(add), &excess, now);
            return;
        }
        if let Err((reason, message)) = self.may_publish(key, &add) {
            let refusal = message::outcome(0, reason, message, Some(Request::AddTrack(add)));
            self.send(key, refusal);
            return;
        }
        let track = self.new_key();
        let sid = self.new_sid("TR_");
        let Some(person) = self.people.get_mut(&key) else { return };
        let publication = publication(track, sid, &person.identity, &add);
        let info = publication.info.clone();
        person.published.push(publication);
        self.owners.insert(track, key);
        self.send(key, Response::TrackPublished(proto::TrackPublishedResponse { cid: add.cid, track: Some(info) }));
    }

    fn may_publish(&self, key: ParticipantKey, add: &proto::AddTrackRequest) -> Result<(), (Reason, String)> {
        let Some(person) = self.people.get(&key) else { return Ok(()) };
        self.may_publish_as(&person.claims, Some(key), add)
    }

    /// Whether somebody with these grants, who is `present` or not there yet, may publish a track.
    pub(super) fn may_publish_as(
        &self,
        claims: &Claims,
        present: Option<ParticipantKey>,
        add: &proto::AddTrackRequest,
    ) -> Result<(), (Reason, String)> {
        let stream_id = stream::stream_id(&claims.user_id, &add.name, &add.stream);
        let allowed = claims.allow_publish(&stream_id);
        allowed.map_err(|error| (Reason::NotAllowed, error.sentence()))?;
        if !may_publish_from(claims, add.source) {
            let message = sentence(PUBLISH_DENIED, "The token does not allow publishing from this source");
            return Err((Reason::NotAllowed, message));
        }
        let taken = stream::is_zego(&add.name, &add.stream)
            && self.people.iter().any(|(other, p)| {
                Some(*other) != present
                    && p.claims.app_id == claims.app_id
                    && p.published.iter().any(|t| t.stream_id == stream_id)
            });
        if taken {
            let message = sentence(STREAM_EXISTS, &format!("Stream '{stream_id}' is being published by another user"));
            return Err((Reason::DuplicateName, message));
        }
        Ok(())
    }

    /// Connects the sections of a client's offer with its publications. Returns the section of each publication that
    /// the offer carries; publications whose section no longer sends are gone.
    pub(super) fn bind(&mut self, key: ParticipantKey, offered: &[sdp::Section]) -> Vec<(String, TrackKey)> {
        // Devices decode none of these: who begins to publish while one is there is asked for what everybody decodes.
        let members = self.room_members(key).into_iter().filter(|member| *member != key);
        let has_device = members.filter_map(|member| self.people.get(&member)).any(|p| !p.login.is_empty());
        let Some(person) = self.people.get_mut(&key) else { return Vec::new() };
        let mut bound: Vec<(String, usize)> = Vec::new();
        for section in offered.iter().filter(|s| !s.rejected && s.direction.sends()) {
            let track = section.msid.as_ref().map(|(_, track)| track.as_str()).unwrap_or_default();
            let published = &person.published;
            let free = |index: &usize| !bound.iter().any(|(_, taken)| taken == index);
            let kind = |index: &usize| section.kind == section_kind(&published[*index]);
            let unbound = |index: &usize| published[*index].mid.is_none();
            let all = 0..published.len();
            let named = all.clone().find(|n| free(n) && unbound(n) && published[*n].cids.iter().any(|c| c == track));
            let kept = || all.clone().find(|n| free(n) && published[*n].mid.as_deref() == Some(&section.mid));
            // Clients that name their tracks differently in the two places publish one of a kind at a time.
            let first = || all.clone().find(|n| free(n) && unbound(n) && kind(n));
            if let Some(index) = named.or_else(kept).or_else(first) {
                bound.push((section.mid.clone(), index));
            }
        }
        let mut gone = Vec::new();
        let by_offer = person.stereo_by_offer;
        for (index, publication) in person.published.iter_mut().enumerate() {
            match bound.iter().find(|(_, bound)| *bound == index) {
                Some((mid, _)) => {
                    if has_device && publication.mid.is_none() && RARER.contains(&publication.codec.as_str()) {
                        publication.codec.clear();
                    }
                    publication.mid = Some(mid.clone());
                    if let Some(section) = offered.iter().find(|s| s.mid == *mid) {
                        describe(publication, section, section.stereo || (by_offer && section.takes_stereo));
                    }
                }
                None if publication.mid.is_some() => gone.push(publication.key),
                None => {}
            }
        }
        let uses = bound.iter().map(|(mid, index)| (mid.clone(), person.published[*index].key)).collect();
        for track in gone {
            self.unpublish(key, track);
        }
        uses
    }

    /// Ends a publication, by the client's wish or an administrator's.
    pub(super) fn unpublish(&mut self, key: ParticipantKey, track: TrackKey) {
        let Some(person) = self.people.get_mut(&key) else { return };
        let Some(index) = person.published.iter().position(|p| p.key == track) else { return };
        let publication = person.published.remove(index);
        self.owners.remove(&track);
        let named = news::named(&person.sid, &person.identity);
        let (room, told) = (person.room, person.active && publication.announced);
        if told {
            self.track_news("track_unpublished", room, named, publication.info.clone());
        }
        let track_sid = publication.info.sid;
        self.send(key, Response::TrackUnpublished(proto::TrackUnpublishedResponse { track_sid }));
        self.announce(key);
        self.tell_speakers(&[key]);
        for member in self.room_members(key) {
            self.forget_track(member, track);
        }
    }

    /// Tells the room about tracks whose media can flow now.
    pub(super) fn announce_tracks(&mut self, key: ParticipantKey, tracks: &[TrackKey]) {
        let Some(person) = self.people.get_mut(&key) else { return };
        let mut fresh = Vec::new();
        for publication in person.published.iter_mut().filter(|p| tracks.contains(&p.key) && !p.announced) {
            publication.announced = true;
            fresh.push(publication.info.clone());
            log::info!("{} publishes {} ({})", person.identity, publication.stream_id, publication.info.mime_type);
        }
        if fresh.is_empty() {
            return;
        }
        let (room, named) = (person.room, news::named(&person.sid, &person.identity));
        // Before its media is up it has not joined, as far as others outside are told.
        let told = if person.active { fresh } else { Vec::new() };
        for track in told {
            self.track_news("track_published", room, named.clone(), track);
        }
        self.announce(key);
        for member in self.room_members(key).into_iter().filter(|m| *m != key) {
            self.deliver(member);
        }
    }

    /// A client mutes or unmutes one of its tracks.
    pub(super) fn mute(&mut self, key: ParticipantKey, sid: &str, muted: bool, _now: Moment) {
        let Some(person) = self.people.get_mut(&key) else { return };
        let Some(publication) = person.publication(sid) else { return };
        if publication.info.muted != muted {
            publication.info.muted = muted;
            self.announce(key);
            self.tell_speakers(&[key]);
        }
    }

    /// A client describes its sound track anew.
    pub(super) fn update_audio_track(
        &mut self,
        key: ParticipantKey,
        update: proto::UpdateLocalAudioTrack,
        _now: Moment,
    ) {
        let Some(person) = self.people.get_mut(&key) else { return };
        let Some(publication) = person.publication(&update.track_sid) else { return };
        publication.info.audio_features = update.features;
        self.announce(key);
    }

    /// A client tells the size of its pictures.
    pub(super) fn update_video_track(
        &mut self,
        key: ParticipantKey,
        update: &proto::UpdateLocalVideoTrack,
        _now: Moment,
    ) {
        let Some(person) = self.people.get_mut(&key) else { return };
        let Some(publication) = person.publication(&update.track_sid) else { return };
        (publication.info.width, publication.info.height) = (update.width, update.height);
        self.announce(key);
    }
}

#[allow(deprecated)] // Older clients read these fields.
fn publication(key: TrackKey, sid: String, identity: &str, add: &proto::AddTrackRequest) -> Publication {
    let first = add.simulcast_codecs.first();
    let codec = first.map(|c| c.codec.rsplit('/').next().unwrap_or_default().to_ascii_uppercase()).unwrap_or_default();
    let mut cids = vec![add.cid.clone()];
    cids.extend(add.simulcast_codecs.iter().map(|c| c.cid.clone()).filter(|cid| !cid.is_empty()));
    let stream = if add.stream.is_empty() { stream::default_stream(add.source).to_owned() } else { add.stream.clone() };
    let stereo = add.stereo || add.audio_features.contains(&(proto::AudioTrackFeature::TfStereo as i32));
    let layers = first.map(|c| c.layers.clone()).filter(|l| !l.is_empty()).unwrap_or_else(|| add.layers.clone());
    let info = proto::TrackInfo {
        sid,
        r#type: add.r#type,
        name: add.name.clone(),
        muted: add.muted,
        width: add.width,
        height: add.height,
        simulcast: add.layers.len() > 1,
        disable_dtx: add.disable_dtx,
        source: add.source,
        layers: layers.clone(),
        stereo,
        disable_red: add.disable_red,
        encryption: add.encryption,
        stream,
        audio_features: add.audio_features.clone(),
        backup_codec_policy: add.backup_codec_policy,
        packet_trailer_features: add.packet_trailer_features.clone(),
        ..Default::default()
    };
    let stream_id = stream::stream_id(identity, &add.name, &info.stream);
    Publication {
        key,
        info,
        cids,
        stream_id,
        codec,
        mid: None,
        stereo,
        announced: false,
        subscribed: false,
        taken: Default::default(),
        loudness: 0,
    }
}

fn section_kind(publication: &Publication) -> sdp::SectionKind {
    match publication.kind() {
        crate::sfu::TrackKind::Audio => sdp::SectionKind::Audio,
        crate::sfu::TrackKind::Video => sdp::SectionKind::Video,
    }
}

/// Completes what is told about a track by what its section says.
#[allow(deprecated)] // Older clients read these fields.
fn describe(publication: &mut Publication, section: &sdp::Section, stereo: bool) {
    publication.info.mid = section.mid.clone();
    publication.stereo |= stereo && section.kind == sdp::SectionKind::Audio;
    publication.info.stereo = publication.stereo;
    let offered = |among: &[&str]| section.codecs.iter().find(|(_, codec)| among.contains(&codec.as_str()));
    let own = publication.codec.as_str();
    if !COMMON.iter().chain(&RARER).any(|codec| *codec == own) || offered(&[own]).is_none() {
        // What not everybody decodes is sent by those only who say so.
        let usable = offered(&COMMON).or_else(|| offered(&RARER));
        publication.codec = usable.map(|(_, codec)| codec.clone()).unwrap_or_default();
    }
    publication.info.mime_type = match publication.codec.as_str() {
        "OPUS" => "audio/opus".into(),
        "" => String::new(),
        codec => format!("video/{codec}"),
    };
    publication.info.codecs = vec![proto::SimulcastCodecInfo {
        mime_type: publication.info.mime_type.clone(),
        mid: section.mid.clone(),
        cid: publication.cids.first().cloned().unwrap_or_default(),
        layers: publication.info.layers.clone(),
        video_layer_mode: layer_mode(publication, section) as i32,
        ..Default::default()
    }];
}

/// How a picture's layers come: each in a stream of its own, or all in one.
fn layer_mode(publication: &Publication, section: &sdp::Section) -> proto::video_layer::Mode {
    match publication.codec.as_str() {
        "OPUS" | "" => proto::video_layer::Mode::Unused,
        codec if RARER.contains(&codec) && !section.simulcast => {
            proto::video_layer::Mode::MultipleSpatialLayersPerStream
        }
        _ => proto::video_layer::Mode::OneSpatialLayerPerStream,
    }
}
