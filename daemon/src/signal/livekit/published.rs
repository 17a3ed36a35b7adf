//! The tracks that we publish, and what the server called them.

use std::collections::HashMap;

use livekit_protocol as proto;
use tokio::sync::oneshot;
use zego_protocol::state::ZegoRemoteDeviceState;

use super::super::error::SignalError;
use super::{Publication, PublishRequest};
use crate::audio::Channels;
use crate::rtc::{MediaKind, MediaSender};

/// One track of ours.
pub(super) struct OwnTrack {
    pub(super) cid: String,
    pub(super) kind: MediaKind,
    pub(super) stream_id: String,
    pub(super) request: proto::AddTrackRequest,
    pub(super) sender: MediaSender,
    /// What the others see of its device; anything but open mutes it.
    pub(super) state: ZegoRemoteDeviceState,
    /// What the server made of it; `None` until it answered.
    pub(super) info: Option<proto::TrackInfo>,
    /// It was in an offer.
    offered: bool,
}

impl OwnTrack {
    fn is_muted(&self) -> bool {
        self.state != ZegoRemoteDeviceState::Open
    }
}

struct Waiting {
    reply: oneshot::Sender<Result<Publication, SignalError>>,
    /// The tracks that are new.
    cids: Vec<String>,
    deadline: tokio::time::Instant,
}

/// What is published.
#[derive(Default)]
pub(super) struct Published {
    tracks: Vec<OwnTrack>,
    waiting: HashMap<String, Waiting>,
    next_cid: u64,
}

impl Published {
    /// Whether a stream is published, or about to be.
    pub(super) fn has(&self, stream_id: &str) -> bool {
        self.tracks.iter().any(|track| track.stream_id == stream_id)
    }

    /// A name for a track that the server will find in our offer. Every track of a session has its own.
    pub(super) fn cid(&mut self, kind: MediaKind) -> String {
        self.next_cid += 1;
        format!("{}-{}", kind.word(), self.next_cid)
    }

    /// Adds a track.
    pub(super) fn add(&mut self, request: &PublishRequest, cid: String, sender: MediaSender) -> proto::AddTrackRequest {
        let kind = sender.kind();
        let add = add_track(request, kind, &cid);
        self.tracks.push(OwnTrack {
            cid,
            kind,
            stream_id: request.stream_id.clone(),
            request: add.clone(),
            sender,
            state: ZegoRemoteDeviceState::Open,
            info: None,
            offered: false,
        });
        add
    }

    /// Whether a stream has a track of this kind, or is about to.
    pub(super) fn has_kind(&self, stream_id: &str, kind: MediaKind) -> bool {
        self.tracks.iter().any(|track| track.stream_id == stream_id && track.kind == kind)
    }

    /// Answers `reply` when every track of the stream is accepted, or one of the new ones (`cids`) is refused.
    pub(super) fn wait(
        &mut self,
        stream_id: &str,
        cids: Vec<String>,
        deadline: tokio::time::Instant,
        reply: oneshot::Sender<Result<Publication, SignalError>>,
    ) {
        self.waiting.insert(stream_id.to_owned(), Waiting { reply, cids, deadline });
    }

    /// The server accepted a track.
    pub(super) fn accepted(&mut self, cid: &str, info: Option<proto::TrackInfo>) {
        let Some(track) = self.tracks.iter_mut().find(|track| track.cid == cid) else { return };
        track.info = Some(info.unwrap_or_default());
        let stream_id = track.stream_id.clone();
        let of_stream: Vec<&OwnTrack> = self.tracks.iter().filter(|track| track.stream_id == stream_id).collect();
        if of_stream.iter().any(|track| track.info.is_none()) {
            return;
        }
        let sender =
            |kind: MediaKind| of_stream.iter().find(|track| track.kind == kind).map(|track| track.sender.clone());
        let publication = Publication { audio: sender(MediaKind::Audio), video: sender(MediaKind::Video) };
        if let Some(waiting) = self.waiting.remove(&stream_id) {
            // Nobody waits any more: then the stream is unpublished by whoever gave up.
            let _ = waiting.reply.send(Ok(publication));
        }
    }

    /// The server refused a track: what was published together with it is given up, too. Returns the cids to be removed.
    pub(super) fn refused(&mut self, cid: &str, error: SignalError) -> Vec<String> {
        let Some(stream_id) = self.tracks.iter().find(|track| track.cid == cid).map(|track| track.stream_id.clone())
        else {
            return Vec::new();
        };
        self.give_up(&stream_id, error)
    }

    fn give_up(&mut self, stream_id: &str, error: SignalError) -> Vec<String> {
        let Some(waiting) = self.waiting.remove(stream_id) else { return self.remove(stream_id) };
        let _ = waiting.reply.send(Err(error));
        self.forget(&waiting.cids);
        waiting.cids
    }

    /// Removes tracks.
    pub(super) fn forget(&mut self, cids: &[String]) {
        self.tracks.retain(|track| !cids.contains(&track.cid));
    }

    /// Gives up the streams that the server did not answer for. Returns the cids to be removed.
    pub(super) fn expire(&mut self, now: tokio::time::Instant) -> Vec<String> {
        let late = self.waiting.iter().filter(|(_, waiting)| waiting.deadline <= now);
        let late: Vec<String> = late.map(|(stream_id, _)| stream_id.clone()).collect();
        late.iter().flat_map(|stream_id| self.give_up(stream_id, SignalError::Timeout("publishing"))).collect()
    }

    /// The server could not answer so far: it has until `deadline`.
    pub(super) fn wait_again(&mut self, deadline: tokio::time::Instant) {
        for waiting in self.waiting.values_mut() {
            waiting.deadline = deadline;
        }
    }

    /// An offer was made, of everything that there is.
    pub(super) fn offered(&mut self) {
        for track in &mut self.tracks {
            track.offered = true;
        }
    }

    /// The cids of a stream's tracks that were in no offer yet.
    pub(super) fn unoffered(&self, stream_id: &str) -> Vec<String> {
        let unoffered = self.tracks.iter().filter(|track| track.stream_id == stream_id && !track.offered);
        unoffered.map(|track| track.cid.clone()).collect()
    }

    /// When [`Self::expire`] is to be called.
    pub(super) fn deadline(&self) -> Option<tokio::time::Instant> {
        self.waiting.values().map(|waiting| waiting.deadline).min()
    }

    /// Removes a stream. Returns its cids.
    pub(super) fn remove(&mut self, stream_id: &str) -> Vec<String> {
        let (removed, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.tracks).into_iter().partition(|track| track.stream_id == stream_id);
        self.tracks = kept;
        removed.into_iter().map(|track| track.cid).collect()
    }

    /// Changes what the others see of a track's device. Returns what they saw before, and the server's id of the track, when it
    /// has one already; nothing when there is no such track.
    pub(super) fn set_state(
        &mut self,
        stream_id: &str,
        kind: MediaKind,
        state: ZegoRemoteDeviceState,
    ) -> Option<(ZegoRemoteDeviceState, Option<String>)> {
        let track = self.tracks.iter_mut().find(|track| track.stream_id == stream_id && track.kind == kind)?;
        let before = std::mem::replace(&mut track.state, state);
        Some((before, track.info.as_ref().map(|info| info.sid.clone())))
    }

    /// What the others see of the devices of every track: stream, kind, state.
    pub(super) fn states(&self) -> Vec<(String, MediaKind, ZegoRemoteDeviceState)> {
        self.tracks.iter().map(|track| (track.stream_id.clone(), track.kind, track.state)).collect()
    }

    /// Whether a track was muted before the server had a name for it.
    pub(super) fn muted_early(&self, cid: &str) -> Option<String> {
        let track = self.tracks.iter().find(|track| track.cid == cid && track.is_muted())?;
        track.info.as_ref().map(|info| info.sid.clone())
    }

    /// The server's ids of all tracks, and whether each is muted.
    pub(super) fn mutes(&self) -> Vec<(String, bool)> {
        let known = self.tracks.iter().filter_map(|track| Some((track.info.as_ref()?.sid.clone(), track.is_muted())));
        known.collect()
    }

    /// What a server that lost track of us needs to know.
    pub(super) fn responses(&self) -> Vec<proto::TrackPublishedResponse> {
        let known = self.tracks.iter().filter(|track| track.info.is_some());
        known.map(|track| proto::TrackPublishedResponse { cid: track.cid.clone(), track: track.info.clone() }).collect()
    }

    /// Requests that the server has not answered.
    pub(super) fn unanswered(&self) -> Vec<proto::AddTrackRequest> {
        self.tracks.iter().filter(|track| track.info.is_none()).map(|track| track.request.clone()).collect()
    }
}

#[allow(deprecated)] // Older servers read `stereo`, newer ones the feature.
fn add_track(request: &PublishRequest, kind: MediaKind, cid: &str) -> proto::AddTrackRequest {
    let (width, height) = request.video.filter(|_| kind == MediaKind::Video).unwrap_or_default();
    let (track_type, source) = match kind {
        MediaKind::Audio => (proto::TrackType::Audio, proto::TrackSource::Microphone),
        MediaKind::Video => (proto::TrackType::Video, proto::TrackSource::Camera),
    };
    let stereo = kind == MediaKind::Audio && request.audio == Some(Channels::Stereo);
    let mut audio_features = Vec::new();
    if kind == MediaKind::Audio {
        audio_features.push(proto::AudioTrackFeature::TfNoDtx as i32);
    }
    if stereo {
        audio_features.push(proto::AudioTrackFeature::TfStereo as i32);
    }
    let layer = proto::VideoLayer { quality: proto::VideoQuality::High as i32, width, height, ..Default::default() };
    proto::AddTrackRequest {
        cid: cid.to_owned(),
        name: request.stream_id.clone(),
        stream: request.stream_id.clone(),
        r#type: track_type as i32,
        source: source as i32,
        width,
        height,
        layers: if kind == MediaKind::Video { vec![layer] } else { vec![] },
        disable_red: true,
        stereo,
        audio_features,
        ..Default::default()
    }
}
