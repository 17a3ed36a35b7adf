//! The engine's task: it holds what exists. Nothing in here waits; what takes time is a task of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use reqwest::Url;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::capture::Captures;
use super::channel::{Channel, VideoSettings};
use super::configured::Configured;
use super::devices::DeviceTable;
use super::error::EngineError;
use super::event::{Change, EngineEvent, EngineInfo, News};
use super::handle::{Engine, Reply, Task};
use super::player::Player;
use super::recent::Recent;
use super::recording::RecordingEntry;
use super::request::Profile;
use super::room::{Leaving, Room, RoomInput};
use crate::config::{Config, Scenario};
use crate::devices::registry::DeviceSource;
use crate::media::meter::{Audience, SoundMeter};
use crate::media::playback::Playback;
use crate::media::send::AudioConfig;
use crate::network::Network;
use crate::service::give_memory_back;
use crate::signal::JoinOptions;
use crate::views::Views;

/// How long the end of everything may take before it is not waited for any more.
const END_TIME: Duration = Duration::from_millis(1500);

/// How long after the last thing that ran memory is given back: its threads have ended by then.
const REST_TIME: Duration = Duration::from_millis(500);

/// A room and who we are in it.
pub(super) struct RoomEntry {
    pub(super) room: Room,
    pub(super) options: JoinOptions,
    pub(super) user_notices: bool,
    pub(super) task: JoinHandle<()>,
    pub(super) left: Leaving,
}

/// A publish channel that was used.
pub(super) struct ChannelEntry {
    pub(super) channel: Channel,
    /// The stream that it publishes, and the room's number.
    pub(super) publishing: Option<Published>,
    /// The view of its preview.
    pub(super) preview: Option<u64>,
    pub(super) previewing: bool,
    pub(super) task: JoinHandle<()>,
}

/// A stream of ours.
pub(super) struct Published {
    pub(super) serial: u64,
    pub(super) stream_id: String,
    pub(super) room: u64,
    pub(super) extra_info: String,
}

/// A stream that is played.
pub(super) struct PlayerEntry {
    pub(super) player: Player,
    pub(super) meter: SoundMeter,
    pub(super) view: Option<u64>,
    /// Where from, if not from a room.
    pub(super) url: Option<Url>,
    pub(super) task: JoinHandle<()>,
}

/// Everything that the engine has.
pub struct Core {
    pub(super) config: Config,
    pub(super) configured: Configured,
    pub(super) news: News,
    pub(super) views: Arc<Views>,
    pub(super) tasks: UnboundedSender<Task>,
    pub(super) table: Arc<DeviceTable>,
    pub(super) captures: Arc<Captures>,
    pub(super) audience: Audience,
    pub(super) info: EngineInfo,
    pub(super) scenario: i32,
    pub(super) several_rooms: bool,
    pub(super) rooms: BTreeMap<String, RoomEntry>,
    /// Endpoints that are published to and played from.
    pub(super) endpoints: Vec<Room>,
    /// Rooms that are being left.
    pub(super) leaving: Vec<Leaving>,
    pub(super) channels: BTreeMap<i32, ChannelEntry>,
    pub(super) players: BTreeMap<String, PlayerEntry>,
    pub(super) playback: Option<Playback>,
    /// Streams that were published, played or recorded lately: stopping them again is no mistake.
    pub(super) published_before: Recent,
    pub(super) played_before: Recent,
    pub(super) recordings: BTreeMap<String, RecordingEntry>,
    pub(super) recorded_before: Recent,
    pub(super) video: BTreeMap<i32, VideoSettings>,
    pub(super) audio: BTreeMap<i32, AudioConfig>,
    pub(super) stream_numbers: Arc<AtomicU64>,
    pub(super) network: Network,
    last_number: u64,
}

impl Core {
    pub(super) fn new(
        config: Config,
        news: News,
        views: Arc<Views>,
        tasks: UnboundedSender<Task>,
    ) -> Result<Self, EngineError> {
        let configured = Configured::new(&config)?;
        let table = DeviceTable::new(configured.devices.clone(), news.clone());
        let report = {
            let tasks = tasks.clone();
            Arc::new(move |source: DeviceSource, works: Result<(), EngineError>| {
                let task: Task = Box::new(move |core| match works {
                    Ok(()) => core.device_works(&source),
                    Err(error) => core.device_failed(&source, error),
                });
                let _ = tasks.send(task);
            })
        };
        let audience = Audience::default();
        let captures = Captures::new(table.clone(), audience.clone(), report);
        let audio = &config.audio;
        for (key, wanted) in [
            ("echo_cancellation", audio.echo_cancellation),
            ("noise_suppression", audio.noise_suppression),
            ("gain_control", audio.gain_control),
        ] {
            if wanted {
                log::warn!("[audio] {key} is not in this version: sound is sent as the microphone gives it");
            }
        }
        let scenario = config.engine.scenario.number();
        Ok(Self {
            config,
            configured,
            news,
            views,
            tasks,
            table,
            captures,
            audience,
            info: EngineInfo::default(),
            scenario,
            several_rooms: false,
            rooms: BTreeMap::new(),
            endpoints: Vec::new(),
            leaving: Vec::new(),
            channels: BTreeMap::new(),
            players: BTreeMap::new(),
            playback: None,
            published_before: Recent::default(),
            played_before: Recent::default(),
            recordings: BTreeMap::new(),
            recorded_before: Recent::default(),
            video: BTreeMap::new(),
            audio: BTreeMap::new(),
            stream_numbers: Arc::default(),
            network: Network::default(),
            last_number: 0,
        })
    }

    pub(super) async fn run(mut self, mut tasks: UnboundedReceiver<Task>) {
        self.watch_network();
        while let Some(task) = tasks.recv().await {
            task(&mut self);
        }
    }

    /// A number that no object had before.
    pub(super) const fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// A callback that has this task do something later.
    pub(super) fn later(&self, work: impl FnOnce(&mut Self) + Send + 'static) -> Box<dyn FnOnce() + Send> {
        let tasks = self.tasks.clone();
        Box::new(move || {
            let task: Task = Box::new(work);
            let _ = tasks.send(task);
        })
    }

    /// Makes the engine from its configuration, if nobody has made it yet.
    pub(super) fn ensure_created(&mut self) {
        if !self.info.created {
            self.several_rooms = false;
            self.scenario = self.config.engine.scenario.number();
            self.created(self.config.engine.app_id);
        }
    }

    fn created(&mut self, app_id: u32) {
        self.info = EngineInfo { created: true, app_id, call_active: self.info.call_active, ..EngineInfo::default() };
        log::info!("the engine is created");
        self.news.tell(EngineEvent::Engine(self.info.clone()));
    }

    fn create(&mut self, profile: Profile) -> Result<(), EngineError> {
        let several = match profile.room_mode {
            None => None,
            Some(0) => Some(false),
            Some(1) => Some(true),
            Some(other) => {
                return Err(EngineError::argument(&format!("room_mode {other} does not exist; use 0 (one room) or 1")));
            }
        };
        if profile.app_id == Some(0) {
            return Err(EngineError::new(1_001_000, "The AppID is 0"));
        }
        if let Some(number) = profile.scenario
            && Scenario::from_number(number).is_none()
        {
            return Err(EngineError::argument(&format!("Scenario {number} does not exist; use 0 to 10")));
        }
        if self.info.created {
            if several.is_some_and(|several| several != self.several_rooms) {
                return Err(EngineError::new(1_001_020, "The engine exists with another room mode"));
            }
            return Ok(());
        }
        self.several_rooms = several.unwrap_or(false);
        self.scenario = profile.scenario.unwrap_or_else(|| self.config.engine.scenario.number());
        self.created(profile.app_id.unwrap_or(self.config.engine.app_id));
        Ok(())
    }

    /// Ends everything that runs. The future is done when it has ended, or has had enough time to.
    pub(super) fn end_everything(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let mut tasks: Vec<_> = std::mem::take(&mut self.recordings).into_values().map(RecordingEntry::end).collect();
        for (_, entry) in std::mem::take(&mut self.players) {
            let (reply, _) = tokio::sync::oneshot::channel();
            entry.player.tell(super::player::PlayerInput::Stop(reply));
            tasks.push(entry.task);
        }
        for (_, entry) in std::mem::take(&mut self.channels) {
            // Without a handle the channel's task ends by itself.
            tasks.push(entry.task);
        }
        let rooms = std::mem::take(&mut self.rooms);
        self.leaving.extend(rooms.values().map(|entry| entry.left.clone()));
        self.playback = None;
        async move {
            let deadline = Instant::now() + END_TIME;
            let streams = join_all(tasks);
            let mut in_time = timeout_at(deadline, streams).await.is_ok();
            // Rooms are left whatever still runs in them: nobody stays there as a ghost.
            for entry in rooms.values() {
                entry.room.tell(RoomInput::Logout);
            }
            let rooms = join_all(rooms.into_values().map(|entry| entry.task).collect());
            in_time &= timeout_at(deadline, rooms).await.is_ok();
            if !in_time {
                log::warn!("not everything ended in time");
            }
        }
    }

    fn destroy(&mut self, reply: Reply<()>) {
        if !self.info.created {
            let _ = reply.send(Ok(()));
            return;
        }
        let ended = self.end_everything();
        self.published_before.clear();
        self.played_before.clear();
        self.recorded_before.clear();
        self.video.clear();
        self.audio.clear();
        for view in self.views.list() {
            self.news.tell(EngineEvent::View(Change::Removed(view.id())));
        }
        self.views.destroy_all();
        self.info = EngineInfo { call_active: self.info.call_active, ..EngineInfo::default() };
        self.table.forget_software();
        let told = self.later(|core| {
            // As it is now: somebody may have made another engine meanwhile.
            core.news.tell(EngineEvent::Engine(core.info.clone()));
            let _ = reply.send(Ok(()));
        });
        tokio::spawn(async move {
            ended.await;
            log::info!("the engine is destroyed");
            told();
            rest().await;
        });
    }

    /// Gives memory back when nothing runs any more: standby is small also after a call.
    pub(super) fn rest_if_idle(&self) {
        let is_idle = self.rooms.is_empty() && !self.channels.values().any(|entry| entry.previewing);
        if is_idle {
            tokio::spawn(rest());
        }
    }
}

/// Gives memory back a moment from now: threads that were told to end hold some of it.
async fn rest() {
    tokio::time::sleep(REST_TIME).await;
    let _ = tokio::task::spawn_blocking(give_memory_back).await;
}

/// Waits until all these tasks have ended.
async fn join_all(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        let _ = task.await;
    }
}

impl Engine {
    /// CreateEngine. A second call changes nothing.
    ///
    /// # Errors
    /// 1001000 for AppID 0, 1001020 for another room mode than that of the engine that exists.
    pub async fn create(&self, profile: Profile) -> Result<(), EngineError> {
        self.with(move |core| core.create(profile)).await
    }

    /// DestroyEngine: logs out of every room, releases every device, frees every view. Idempotent.
    ///
    /// # Errors
    /// None but an engine that has ended.
    pub async fn destroy(&self) -> Result<(), EngineError> {
        self.ask(Core::destroy).await
    }

    /// MuteMicrophone: silence is sent on every channel, the devices stay open.
    ///
    /// # Errors
    /// None but an engine that has ended.
    pub async fn mute_microphone(&self, muted: bool) -> Result<(), EngineError> {
        self.with(move |core| {
            core.ensure_created();
            for entry in core.channels.values() {
                entry.channel.tell(super::channel::ChannelInput::MuteMicrophone(muted));
            }
            core.change_info(|info| info.microphone_muted = muted);
            Ok(())
        })
        .await
    }

    /// MuteSpeaker: nothing is heard, everything is still received.
    ///
    /// # Errors
    /// None but an engine that has ended.
    pub async fn mute_speaker(&self, muted: bool) -> Result<(), EngineError> {
        self.with(move |core| {
            core.ensure_created();
            if let Some(playback) = &core.playback {
                playback.set_muted(muted);
            }
            core.change_info(|info| info.speaker_muted = muted);
            Ok(())
        })
        .await
    }
}

impl Core {
    pub(super) fn change_info(&mut self, change: impl FnOnce(&mut EngineInfo)) {
        let before = self.info.clone();
        change(&mut self.info);
        if self.info != before {
            self.news.tell(EngineEvent::Engine(self.info.clone()));
        }
    }
}
