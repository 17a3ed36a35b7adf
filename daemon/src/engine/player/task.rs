//! The task of a player.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, WeakUnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use zego_protocol::state::ZegoPlayerState as State;

use super::inputs::{Player, PlayerInput, Reply};
use super::receiving::percent;
use super::recording::Recorder;
use super::state::{Input, Phase};
use crate::engine::endpoint::NO_ROOM;
use crate::engine::error::EngineError;
use crate::engine::event::{Change, EngineEvent, FirstFrame, News, PlayerInfo, VideoLayer};
use crate::engine::quality::PlayReading;
use crate::engine::room::{Follower, Room, RoomInput, RoomNews};
use crate::media::meter::SoundMeter;
use crate::media::playback::Playback;
use crate::media::receive::{AudioPlay, VideoPlay};
use crate::media::sync::LipSync;
use crate::rtc::{MediaKind, MediaReceiver};
use crate::signal::{LayerWish, RemoteStream, Session, SignalError};
use crate::views::View;

/// How often the quality of what runs is told.
const QUALITY_TIME: Duration = Duration::from_secs(3);

/// What a player's task needs.
pub(in crate::engine) struct PlayerSetup {
    /// Number of the player's object.
    pub(in crate::engine) number: u64,
    /// The stream.
    pub(in crate::engine) stream_id: String,
    /// Where it is.
    pub(in crate::engine) room: Room,
    /// Receive sound.
    pub(in crate::engine) audio: bool,
    /// Receive pictures.
    pub(in crate::engine) video: bool,
    /// Where the pictures go.
    pub(in crate::engine) view: Option<Arc<dyn View>>,
    /// Where the sound goes.
    pub(in crate::engine) playback: Playback,
    /// Shows how loud it is.
    pub(in crate::engine) meter: SoundMeter,
    /// Takes the news.
    pub(in crate::engine) news: News,
    /// Gets the state that was reached, or why none was.
    pub(in crate::engine) outcome: Reply<State>,
    /// Called when the player is over.
    pub(in crate::engine) ended: Box<dyn FnOnce() + Send>,
}

/// Starts the task of a player; it ends with StopPlaying, or with the room.
pub(in crate::engine) fn start(setup: PlayerSetup) -> (Player, JoinHandle<()>) {
    let (inputs, receiver) = unbounded_channel();
    let player = Player { number: setup.number, room: setup.room.number, inputs: inputs.clone() };
    let info = PlayerInfo {
        number: setup.number,
        stream_id: setup.stream_id,
        room: setup.room.number,
        state: State::PlayRequesting,
        code: 0,
        volume: 100,
        audio_muted: false,
        video_muted: false,
        video_layer: VideoLayer::Auto,
        video_codec: String::new(),
        video_decoder: String::new(),
        width: 0,
        height: 0,
        view: setup.view.as_ref().map(|view| view.id()),
    };
    let task = PlayerTask {
        info,
        told: None,
        wants: (setup.audio, setup.video),
        room: setup.room,
        view: setup.view,
        playback: setup.playback,
        meter: setup.meter,
        sync: LipSync::default(),
        news: setup.news,
        outcome: Some(setup.outcome),
        phase: Phase::Requesting,
        session: None,
        stream: None,
        subscription: Subscription::None,
        serial: 0,
        audio: None,
        video: None,
        audio_play: None,
        video_play: None,
        recorder: None,
        first_frames: HashSet::new(),
        told_size: None,
        reading: None,
        ticks: None,
        inputs: inputs.downgrade(),
    };
    let ended = setup.ended;
    let handle = tokio::spawn(async move {
        task.run(receiver).await;
        ended();
    });
    (player, handle)
}

/// Whether the server was asked for the stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Subscription {
    None,
    Asked(u64),
    There,
}

pub(super) struct PlayerTask {
    pub(super) info: PlayerInfo,
    pub(super) told: Option<PlayerInfo>,
    pub(super) wants: (bool, bool),
    pub(super) room: Room,
    pub(super) view: Option<Arc<dyn View>>,
    pub(super) playback: Playback,
    pub(super) meter: SoundMeter,
    pub(super) sync: LipSync,
    pub(super) news: News,
    pub(super) outcome: Option<Reply<State>>,
    pub(super) phase: Phase,
    pub(super) session: Option<Session>,
    pub(super) stream: Option<RemoteStream>,
    pub(super) subscription: Subscription,
    pub(super) serial: u64,
    pub(super) audio: Option<MediaReceiver>,
    pub(super) video: Option<MediaReceiver>,
    pub(super) audio_play: Option<AudioPlay>,
    pub(super) video_play: Option<VideoPlay>,
    pub(super) recorder: Option<Recorder>,
    pub(super) first_frames: HashSet<FirstFrame>,
    pub(super) told_size: Option<(u32, u32)>,
    pub(super) reading: Option<PlayReading>,
    pub(super) ticks: Option<Interval>,
    pub(super) inputs: WeakUnboundedSender<PlayerInput>,
}

/// The next tick; waits forever when nothing is measured.
async fn next_tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}

impl PlayerTask {
    async fn run(mut self, mut inputs: UnboundedReceiver<PlayerInput>) {
        self.tell_info();
        self.tell_state(State::PlayRequesting, 0, "");
        let news = self.inputs.clone();
        let tell = Box::new(move |told| {
            if let Some(inputs) = news.upgrade() {
                let _ = inputs.send(PlayerInput::Room(told));
            }
        });
        let stream_id = Some(self.info.stream_id.clone());
        self.room.tell(RoomInput::Follow(Follower { id: self.info.number, stream_id, tell }));
        let mut stopped = None;
        while self.phase != Phase::Ended {
            tokio::select! {
                biased;
                input = inputs.recv() => match input {
                    Some(PlayerInput::Stop(reply)) => {
                        self.step(Input::Stop, "");
                        stopped = Some(reply);
                    }
                    Some(input) => self.input(input),
                    None => self.step(Input::Stop, ""),
                },
                () = next_tick(&mut self.ticks) => self.ask_round_trip(),
            }
        }
        self.room.tell(RoomInput::Unfollow(self.info.number));
        (self.audio_play, self.video_play) = (None, None);
        if let Some(view) = &self.view {
            view.clear();
        }
        if self.subscription != Subscription::None
            && let Some(session) = self.session.take()
        {
            session.unsubscribe(&self.info.stream_id).await;
        }
        if let Some(reply) = stopped {
            let _ = reply.send(Ok(()));
        }
    }

    fn input(&mut self, input: PlayerInput) {
        match input {
            PlayerInput::Room(news) => self.room_news(news),
            PlayerInput::Subscribed(serial, result) => self.subscribed(serial, result),
            PlayerInput::RoundTrip(rtt) if self.ticks.is_some() => self.measure(rtt),
            // It stopped playing meanwhile.
            PlayerInput::RoundTrip(_) => {}
            PlayerInput::Media(kind, event) => self.media_event(kind, event),
            PlayerInput::LeaveView => {
                if let Some(play) = &self.video_play {
                    play.set_view(None);
                }
                (self.view, self.info.view) = (None, None);
                self.tell_info();
            }
            PlayerInput::Again { view, audio, video, reply } => {
                self.change_view(view);
                self.change_wants((audio.unwrap_or(self.wants.0), video));
                let _ = reply.send(Ok(self.info.state));
            }
            PlayerInput::Volume(volume, reply) => {
                self.info.volume = volume;
                if let Some(play) = &self.audio_play {
                    play.set_volume(percent(volume));
                }
                self.tell_info();
                let _ = reply.send(Ok(()));
            }
            PlayerInput::Mute(kind, muted, reply) => {
                match kind {
                    MediaKind::Audio => self.info.audio_muted = muted,
                    MediaKind::Video => self.info.video_muted = muted,
                }
                self.play();
                self.subscribe();
                self.tell_info();
                let _ = reply.send(Ok(()));
            }
            PlayerInput::Layer(_, reply) if self.info.room == NO_ROOM => {
                let message = "The layer of a stream cannot be chosen at a WHEP endpoint; play it from a room";
                let _ = reply.send(Err(EngineError::unsupported(message)));
            }
            PlayerInput::Layer(layer, reply) => {
                self.info.video_layer = layer;
                self.subscribe();
                self.tell_info();
                let _ = reply.send(Ok(()));
            }
            PlayerInput::Record(job) => self.record(job),
            PlayerInput::RecordingEnded(number) => self.recording_ended(number),
            PlayerInput::Snapshot(request, reply) => self.snapshot(request, reply),
            // Taken by the loop.
            PlayerInput::Stop(_) => {}
        }
    }

    fn room_news(&mut self, news: RoomNews) {
        match news {
            RoomNews::Now { session, stream } => {
                let is_there = session.is_some() && stream.is_some();
                (self.session, self.stream) = (session, stream);
                self.subscribe();
                if !is_there {
                    self.outcome(Ok(State::PlayRequesting));
                }
            }
            RoomNews::Up(session) => {
                self.forget_media();
                self.session = Some(session);
                self.step(Input::Interrupted, "");
                self.subscribe();
            }
            RoomNews::Interrupted => self.step(Input::Interrupted, ""),
            RoomNews::Resumed => {
                if self.audio.is_some() || self.video.is_some() || self.plays_nothing() {
                    self.step(Input::MediaThere, "");
                }
            }
            RoomNews::Down => {
                self.forget_media();
                self.session = None;
                self.step(Input::Interrupted, "");
            }
            RoomNews::Gone { code, message } => {
                self.session = None;
                self.step(Input::RoomGone(code), &message);
            }
            RoomNews::Stream(stream) => {
                self.stream = Some(stream);
                self.follow_mutes();
                if self.subscription == Subscription::None {
                    self.subscribe();
                }
            }
            RoomNews::StreamGone => {
                self.stream = None;
                self.forget_media();
                self.step(Input::Interrupted, "");
            }
            RoomNews::Media(receiver) => {
                match receiver.kind() {
                    MediaKind::Audio => (self.audio_play, self.audio) = (None, Some(receiver)),
                    MediaKind::Video => (self.video_play, self.video) = (None, Some(receiver)),
                }
                self.play();
                self.step(Input::MediaThere, "");
            }
            RoomNews::MediaEnded(kind) => {
                match kind {
                    MediaKind::Audio => (self.audio_play, self.audio) = (None, None),
                    MediaKind::Video => (self.video_play, self.video) = (None, None),
                }
                if self.audio.is_none() && self.video.is_none() && !self.plays_nothing() {
                    self.step(Input::Interrupted, "");
                }
            }
        }
    }

    /// What is to be received now: sound, pictures.
    pub(super) const fn wanted(&self) -> (bool, bool) {
        (self.wants.0 && !self.info.audio_muted, self.wants.1 && !self.info.video_muted)
    }

    /// Whether the stream is there and nothing of it is to be received, such as one that is muted: it plays on without.
    fn plays_nothing(&self) -> bool {
        let (audio, video) = self.wanted();
        self.stream.as_ref().is_some_and(|stream| !(audio && stream.has_audio || video && stream.has_video))
    }

    /// Asks the server for the stream, or for other parts or another layer of it.
    fn subscribe(&mut self) {
        let (Some(session), Some(_)) = (self.session.clone(), &self.stream) else { return };
        self.serial += 1;
        let serial = self.serial;
        self.subscription = Subscription::Asked(serial);
        let (stream_id, (audio, video)) = (self.info.stream_id.clone(), self.wanted());
        let layer = match self.info.video_layer {
            VideoLayer::Auto => LayerWish::Best,
            VideoLayer::Small => LayerWish::Smallest,
            VideoLayer::Big => LayerWish::BestFirst,
        };
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let result = session.subscribe(&stream_id, audio, video, layer).await;
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.send(PlayerInput::Subscribed(serial, result));
            }
        });
    }

    fn subscribed(&mut self, serial: u64, result: Result<(), SignalError>) {
        if self.subscription != Subscription::Asked(serial) {
            return;
        }
        self.subscription = match result {
            Ok(()) => {
                if self.plays_nothing() {
                    self.step(Input::MediaThere, "");
                }
                Subscription::There
            }
            Err(SignalError::Refused { code, message }) => {
                let what = format!("Stream '{}': {message}", self.info.stream_id);
                self.step(Input::Refused(code), &EngineError::told(code, &what).message);
                Subscription::None
            }
            // The stream went or the link broke meanwhile: the room tells when they are back.
            Err(error) => {
                log::debug!("subscribing to stream '{}': {error}", self.info.stream_id);
                Subscription::None
            }
        };
    }

    fn change_view(&mut self, view: Option<Arc<dyn View>>) {
        let id = view.as_ref().map(|view| view.id());
        if let Some(old) = self.view.as_ref().filter(|old| Some(old.id()) != id) {
            if let Some(play) = &self.video_play {
                play.set_view(None);
            }
            old.clear();
        }
        self.view = view;
        if let Some(play) = &self.video_play {
            play.set_view(self.view.clone());
        }
        self.info.view = id;
        self.tell_info();
    }

    /// Receives sound and pictures from now on, or not.
    fn change_wants(&mut self, wants: (bool, bool)) {
        if std::mem::replace(&mut self.wants, wants) != wants {
            self.play();
            self.subscribe();
        }
    }

    /// What was received is gone; it is waited for again.
    fn forget_media(&mut self) {
        (self.audio_play, self.video_play) = (None, None);
        (self.audio, self.video) = (None, None);
        self.subscription = Subscription::None;
        self.reading = None;
        // What comes next is a new stream with first frames of its own.
        self.first_frames.clear();
        self.told_size = None;
    }

    /// Takes the state machine one step, and tells what that means.
    fn step(&mut self, input: Input, message: &str) {
        let (next, announced) = self.phase.next(input);
        self.phase = next;
        let Some((state, code)) = announced else { return };
        let message = if code == 0 { String::new() } else { EngineError::new(code, message).message };
        self.ticks = (next == Phase::Playing).then(|| {
            let mut ticks = interval_at(Instant::now() + QUALITY_TIME, QUALITY_TIME);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            ticks
        });
        (self.info.state, self.info.code) = (state, code);
        if next != Phase::Ended {
            self.tell_info();
        }
        self.tell_state(state, code, &message);
        if next == Phase::Ended {
            self.news.tell(EngineEvent::Player(Change::Removed(self.info.number)));
            self.outcome(if code == 0 { Ok(state) } else { Err(EngineError::told(code, &message)) });
        } else if next == Phase::Playing {
            // Rates are of the time from now on, not of one before an outage.
            self.reading = Some(self.read(None));
            self.outcome(Ok(state));
        }
    }

    fn outcome(&mut self, outcome: Result<State, EngineError>) {
        if let Some(reply) = self.outcome.take() {
            let _ = reply.send(outcome);
        }
    }

    fn tell_state(&self, state: State, code: i32, message: &str) {
        let (stream_id, message) = (self.info.stream_id.clone(), message.to_owned());
        self.news.tell(EngineEvent::PlayerState { stream_id, state, code, message });
    }

    pub(super) fn tell_info(&mut self) {
        if self.told.as_ref() != Some(&self.info) {
            let info = self.info.clone();
            let change = match self.told.replace(info.clone()) {
                None => Change::Added(info),
                Some(_) => Change::Changed(info),
            };
            self.news.tell(EngineEvent::Player(change));
        }
    }
}
