//! A channel's publisher: from the call to the end of the stream.

use std::collections::HashSet;

use zego_protocol::state::{ZegoPublisherState as State, ZegoRemoteDeviceState as DeviceState};

use super::inputs::{ChannelInput, PublishJob, Reply, Want};
use super::state::{Input, Phase};
use super::task::ChannelTask;
use crate::devices::camera::CameraSource;
use crate::devices::microphone::MicrophoneSource;
use crate::engine::error::EngineError;
use crate::engine::event::{Change, EngineEvent, FirstFrame, PublisherInfo};
use crate::engine::quality::PublishReading;
use crate::engine::room::{Follower, RoomInput, RoomNews};
use crate::media::send::{AudioSend, VideoSend};
use crate::rtc::MediaKind;
use crate::signal::{Publication, PublishRequest, Session, SignalError, Told};

/// What a channel publishes.
pub(super) struct Publisher {
    pub(super) serial: u64,
    pub(super) job: Job,
    pub(super) info: PublisherInfo,
    pub(super) phase: Phase,
    pub(super) session: Option<Session>,
    pub(super) announcing: bool,
    pub(super) publication: Option<Publication>,
    pub(super) video_send: Option<VideoSend>,
    pub(super) audio_send: Option<AudioSend>,
    pub(super) audio_muted: bool,
    pub(super) video_muted: bool,
    pub(super) capture_volume: i32,
    /// What the others see of microphone and camera.
    pub(super) shown: (DeviceState, DeviceState),
    pub(super) first_frames: HashSet<FirstFrame>,
    pub(super) reading: Option<PublishReading>,
    outcome: Option<Reply<State>>,
    ended: Option<Box<dyn FnOnce() + Send>>,
}

/// The part of a [`PublishJob`] that is needed for as long as it runs.
pub(super) struct Job {
    pub(super) stream_id: String,
    pub(super) room: crate::engine::room::Room,
    pub(super) audio: Want,
    pub(super) video: Want,
    /// There was no camera for it so far, and it is to have one when one comes.
    pub(super) lacks_camera: bool,
    /// The same with a microphone.
    pub(super) lacks_microphone: bool,
    pub(super) extra_info: String,
}

impl ChannelTask {
    pub(super) fn publish(&mut self, job: PublishJob) {
        let PublishJob { stream_id, room, mut audio, mut video, extra_info, outcome, ended } = job;
        let serial = self.next_serial();
        // `none` is a wish for no device, not a missing one.
        if video == Want::IfThere && self.camera_source == CameraSource::None {
            video = Want::No;
        }
        if audio == Want::IfThere && self.microphone_source == MicrophoneSource::None {
            audio = Want::No;
        }
        let info = PublisherInfo {
            channel: self.number,
            stream_id: stream_id.clone(),
            room: room.number,
            state: State::PublishRequesting,
            code: 0,
            audio_muted: false,
            video_muted: false,
            capture_volume: 100,
            video_codec: String::new(),
            video_encoder: String::new(),
            width: 0,
            height: 0,
            camera: None,
            microphone: None,
        };
        self.news.tell(EngineEvent::Publisher(Change::Added(info.clone())));
        self.news.tell(EngineEvent::PublisherState {
            stream_id: stream_id.clone(),
            state: State::PublishRequesting,
            code: 0,
            message: String::new(),
        });
        let inputs = self.inputs.clone();
        let tell = Box::new(move |news| {
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.send(ChannelInput::Room(serial, news));
            }
        });
        room.tell(RoomInput::Follow(Follower { id: serial_of(self.number, serial), stream_id: None, tell }));
        self.publisher = Some(Publisher {
            serial,
            job: Job { stream_id, room, audio, video, lacks_camera: false, lacks_microphone: false, extra_info },
            info,
            phase: Phase::Requesting,
            session: None,
            announcing: false,
            publication: None,
            video_send: None,
            audio_send: None,
            audio_muted: false,
            video_muted: false,
            capture_volume: 100,
            shown: (DeviceState::Open, DeviceState::Open),
            first_frames: HashSet::new(),
            reading: None,
            outcome: Some(outcome),
            ended: Some(ended),
        });
        if audio == Want::No && video == Want::No {
            self.refuse(EngineError::new(1_006_002, "There is neither a camera nor a microphone to publish"));
            return;
        }
        self.update_devices();
    }

    /// Ends the publisher if there is one; the future is done when the session has given it up.
    pub(super) fn stop_publishing(&mut self) -> Option<impl Future<Output = Option<Told>> + Send + use<>> {
        self.publisher.as_ref()?;
        self.step(Input::Stop, "")
    }

    /// Whether what is published has sound and pictures.
    pub(super) fn tell_kinds(&self, reply: Reply<(bool, bool)>) {
        let _ = reply.send(match &self.publisher {
            Some(publisher) => Ok((publisher.job.audio != Want::No, publisher.job.video != Want::No)),
            None => Err(EngineError::new(1_003_001, &format!("Channel {} publishes nothing", self.number))),
        });
    }

    /// The camera could not be opened.
    pub(super) fn no_camera(&mut self, error: EngineError) {
        let is_auto = self.camera_source == CameraSource::Auto;
        let Some(publisher) = &mut self.publisher else { return };
        match publisher.job.video {
            Want::No => {}
            Want::IfThere
                if publisher.job.lacks_camera
                    || (is_auto && error.code == 1_006_002 && publisher.job.audio != Want::No) =>
            {
                log::info!("stream '{}' has no pictures: {error}", publisher.job.stream_id);
                publisher.job.video = Want::No;
                publisher.job.lacks_camera = true;
            }
            Want::IfThere | Want::Must => self.refuse(error),
        }
    }

    /// The microphone could not be opened.
    pub(super) fn no_microphone(&mut self, error: EngineError) {
        let is_auto = self.microphone_source == MicrophoneSource::Auto;
        let Some(publisher) = &mut self.publisher else { return };
        match publisher.job.audio {
            Want::No => {}
            Want::IfThere
                if publisher.job.lacks_microphone
                    || (is_auto && error.code == 1_006_002 && publisher.job.video != Want::No) =>
            {
                log::info!("stream '{}' has no sound: {error}", publisher.job.stream_id);
                publisher.job.audio = Want::No;
                publisher.job.lacks_microphone = true;
            }
            Want::IfThere | Want::Must => self.refuse(error),
        }
    }

    pub(super) fn room_news(&mut self, serial: u64, news: RoomNews) {
        let Some(publisher) = self.publisher.as_mut().filter(|publisher| publisher.serial == serial) else { return };
        match news {
            RoomNews::Now { session, .. } => publisher.session = session,
            RoomNews::Up(session) => {
                publisher.forget_session();
                publisher.session = Some(session);
            }
            RoomNews::Interrupted => {
                let _ = self.step(Input::LinkLost, "");
                return;
            }
            RoomNews::Resumed => {}
            RoomNews::Down => {
                publisher.forget_session();
                let _ = self.step(Input::LinkLost, "");
                return;
            }
            RoomNews::Gone { code, message } => {
                let _ = self.step(Input::RoomGone(code), &message);
                return;
            }
            RoomNews::Stream(_) | RoomNews::StreamGone | RoomNews::Media(_) | RoomNews::MediaEnded(_) => return,
        }
        self.advance();
    }

    pub(super) fn published(&mut self, serial: u64, result: Result<Publication, SignalError>) {
        let Some(publisher) = self.publisher.as_mut().filter(|publisher| publisher.serial == serial) else { return };
        if !std::mem::take(&mut publisher.announcing) {
            return;
        }
        match result {
            Ok(publication) => publisher.publication = Some(publication),
            // The room tries again, and tells when it is back.
            Err(SignalError::Ended | SignalError::Unreachable { .. }) => return,
            Err(error) if publisher.publication.is_some() => {
                // What came later: the stream goes on as it was.
                log::warn!("stream '{}' does not get another track: {error}", publisher.job.stream_id);
                for (kind, want) in
                    [(MediaKind::Audio, &mut publisher.job.audio), (MediaKind::Video, &mut publisher.job.video)]
                {
                    let is_there = publisher.publication.as_ref().is_some_and(|publication| match kind {
                        MediaKind::Audio => publication.audio.is_some(),
                        MediaKind::Video => publication.video.is_some(),
                    });
                    if !is_there {
                        *want = Want::No;
                    }
                }
            }
            Err(error) => {
                let what = format!("Stream '{}'", publisher.job.stream_id);
                self.refuse(EngineError::from_signal(&error, &what, 1_003_021));
                return;
            }
        }
        self.advance();
        self.tell_info(|_| {});
    }

    /// Does whatever can be done next on the way to publishing.
    pub(super) fn advance(&mut self) {
        self.update_devices();
        let camera_certain = self.camera_source != CameraSource::Auto || self.camera.open().is_some();
        let microphone_certain = self.microphone_source != MicrophoneSource::Auto || self.microphone.open().is_some();
        let camera_enabled = self.camera_enabled;
        let Some(publisher) = &mut self.publisher else { return };
        let job = &publisher.job;
        if publisher.publication.is_none() {
            // What may turn out not to be there is not announced before it is open.
            let certain = (job.video != Want::IfThere || camera_certain || !camera_enabled)
                && (job.audio != Want::IfThere || microphone_certain);
            if let Some(session) = publisher.session.clone()
                && certain
                && !std::mem::replace(&mut publisher.announcing, true)
            {
                self.announce_stream(session);
            }
            return;
        }
        self.announce_what_came();
        self.start_senders();
        self.update_recording();
        self.apply_mutes();
        let Some(publisher) = &mut self.publisher else { return };
        let sends_video = publisher.job.video == Want::No || !self.camera_enabled || publisher.video_send.is_some();
        let sends_audio = publisher.job.audio == Want::No || publisher.audio_send.is_some();
        if sends_video && sends_audio {
            let _ = self.step(Input::Published, "");
        }
    }

    /// Publishes a track for a device that came after the stream was published.
    fn announce_what_came(&mut self) {
        let (camera, microphone) = (self.camera.open().is_some(), self.microphone.open().is_some());
        let Some(publisher) = &mut self.publisher else { return };
        let audio = microphone && publisher.job.audio != Want::No && !publisher.has_track(MediaKind::Audio);
        let video = camera && publisher.job.video != Want::No && !publisher.has_track(MediaKind::Video);
        if let Some(session) = publisher.session.clone()
            && (audio || video)
            && !std::mem::replace(&mut publisher.announcing, true)
        {
            self.announce(session, audio, video, String::new());
        }
    }

    /// Publishes in the room.
    fn announce_stream(&mut self, session: Session) {
        let Some(job) = self.publisher.as_ref().map(|publisher| &publisher.job) else { return };
        let (audio, video, extra_info) = (job.audio != Want::No, job.video != Want::No, job.extra_info.clone());
        self.announce(session, audio, video, extra_info);
    }

    fn announce(&mut self, session: Session, audio: bool, video: bool, extra_info: String) {
        let Some(publisher) = &self.publisher else { return };
        let wish = self.video.wish;
        let size =
            self.video.size.unwrap_or_else(|| match self.camera.open().and_then(|camera| camera.capture().format()) {
                Some(format) => (format.width, format.height),
                None => (wish.width, wish.height),
            });
        let request = PublishRequest {
            stream_id: publisher.job.stream_id.clone(),
            audio: audio.then_some(self.audio.channels),
            video: video.then_some(size),
            extra_info,
        };
        let serial = publisher.serial;
        self.spawn(async move { ChannelInput::Published(serial, session.publish(request).await) });
    }

    /// The stream cannot be published.
    pub(super) fn refuse(&mut self, error: EngineError) {
        if let Some(left) = self.step(Input::Refused(error.code), &error.message) {
            tokio::spawn(left);
        }
    }

    /// Takes the state machine one step, and tells what that means. The future is there when the publisher has ended, and gives
    /// what resolves when the server knows, if there is something to be told.
    fn step(&mut self, input: Input, message: &str) -> Option<impl Future<Output = Option<Told>> + Send + use<>> {
        let publisher = self.publisher.as_mut()?;
        let (next, announced) = publisher.phase.next(input);
        publisher.phase = next;
        let (state, code) = announced?;
        let stream_id = publisher.job.stream_id.clone();
        let message = match code {
            0 => String::new(),
            code => EngineError::new(code, message).message,
        };
        self.measure_regularly(next == Phase::Publishing);
        if next != Phase::Ended {
            self.tell_info(|info| (info.state, info.code) = (state, code));
            self.news.tell(EngineEvent::PublisherState { stream_id, state, code, message });
            if next == Phase::Publishing
                && let Some(publisher) = &mut self.publisher
            {
                // Rates are of the time from now on, not of one before an outage.
                publisher.reading = Some(publisher.read());
                if let Some(outcome) = publisher.outcome.take() {
                    let _ = outcome.send(Ok(state));
                }
            }
            return None;
        }
        self.news.tell(EngineEvent::PublisherState {
            stream_id: stream_id.clone(),
            state,
            code,
            message: message.clone(),
        });
        self.news.tell(EngineEvent::Publisher(Change::Removed(u64::try_from(self.number).unwrap_or(0))));
        let mut publisher = self.publisher.take()?;
        publisher.job.room.tell(RoomInput::Unfollow(serial_of(self.number, publisher.serial)));
        publisher.video_send = None;
        publisher.audio_send = None;
        self.update_devices();
        if let Some(ended) = publisher.ended.take() {
            ended();
        }
        if let Some(outcome) = publisher.outcome.take() {
            let _ = outcome.send(match code {
                0 => Ok(State::NoPublish),
                code => Err(EngineError::told(code, &message)),
            });
        }
        let was_announced = publisher.announcing || publisher.publication.is_some();
        let session = publisher.session.take().filter(|_| was_announced);
        Some(async move {
            let told = session?.unpublish(&stream_id).await;
            told.inspect_err(|error| log::debug!("unpublishing stream '{stream_id}': {error}")).ok()
        })
    }

    /// Changes what the publisher's object shows.
    pub(super) fn tell_info(&mut self, change: impl FnOnce(&mut PublisherInfo)) {
        let camera = self.camera.open().and_then(|camera| self.captures.number_of(&camera.source()));
        let microphone = self.microphone.open().and_then(|microphone| self.captures.number_of(&microphone.source()));
        let Some(publisher) = &mut self.publisher else { return };
        let before = publisher.info.clone();
        let info = &mut publisher.info;
        change(info);
        info.camera = camera.filter(|_| publisher.job.video != Want::No);
        info.microphone = microphone.filter(|_| publisher.job.audio != Want::No);
        info.audio_muted = publisher.audio_muted;
        info.video_muted = publisher.video_muted;
        info.capture_volume = publisher.capture_volume;
        if *info != before {
            self.news.tell(EngineEvent::Publisher(Change::Changed(info.clone())));
        }
    }

    /// Changes the text of the stream; before the stream is announced, what it is announced with.
    pub(super) fn set_extra_info(&mut self, text: String, reply: Reply<()>) {
        let Some(publisher) = &mut self.publisher else {
            let _ = reply.send(Err(EngineError::new(1_003_001, &format!("Channel {} publishes nothing", self.number))));
            return;
        };
        let session = publisher.session.clone().filter(|_| publisher.publication.is_some());
        let (stream_id, Some(session)) = (publisher.job.stream_id.clone(), session) else {
            publisher.job.extra_info = text;
            let _ = reply.send(Ok(()));
            return;
        };
        let serial = publisher.serial;
        self.spawn(async move {
            let set = session.set_extra_info(&stream_id, &text).await;
            let what = format!("Stream '{stream_id}'");
            let set = set.map_err(|error| EngineError::from_signal(&error, &what, 1_003_053));
            ChannelInput::ExtraInfoSet(serial, set.map(|()| text), reply)
        });
    }

    /// The server took the text, with which the stream is announced from now on, or it did not.
    pub(super) fn extra_info_set(&mut self, serial: u64, set: Result<String, EngineError>, reply: Reply<()>) {
        let outcome = set.map(|text| {
            if let Some(publisher) = self.publisher.as_mut().filter(|publisher| publisher.serial == serial) {
                publisher.job.extra_info = text;
            }
        });
        let _ = reply.send(outcome);
    }

    /// Changes a property of the publisher.
    pub(super) fn with_publisher(&mut self, reply: Reply<()>, change: impl FnOnce(&mut Publisher)) {
        let Some(publisher) = &mut self.publisher else {
            let _ = reply.send(Err(EngineError::new(1_003_001, &format!("Channel {} publishes nothing", self.number))));
            return;
        };
        change(publisher);
        self.apply_mutes();
        self.tell_info(|_| {});
        let _ = reply.send(Ok(()));
    }
}

impl Publisher {
    /// The session is gone, and with it everything that ran on it.
    fn forget_session(&mut self) {
        self.session = None;
        self.announcing = false;
        self.publication = None;
        self.video_send = None;
        self.audio_send = None;
        self.shown = (DeviceState::Open, DeviceState::Open);
    }

    /// Shows the others the state of a device.
    pub(super) fn show_device(&self, kind: MediaKind, state: DeviceState) {
        if let Some(session) = &self.session {
            session.show_device(&self.job.stream_id, kind, state);
        }
    }

    /// Whether there is a track for sound that is to be sent, or for pictures.
    pub(super) fn has_track(&self, kind: MediaKind) -> bool {
        self.publication.as_ref().is_some_and(|publication| match kind {
            MediaKind::Audio => publication.audio.is_some(),
            MediaKind::Video => publication.video.is_some(),
        })
    }
}

/// The number of a channel's publisher as a follower of a room: no player has it.
fn serial_of(channel: i32, serial: u64) -> u64 {
    (1 << 63) | (u64::from(channel.unsigned_abs()) << 48) | serial
}
