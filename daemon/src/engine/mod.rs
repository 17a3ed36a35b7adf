//! The domain: engine, rooms, publishers, players, their state machines and the events they emit.
//!
//! [`Engine`] is a handle; behind it a task of its own holds what exists and never waits. One task per room, publish
//! channel and player does the work: a command flows down to the task that owns the thing, news flow up on the one
//! channel that [`Engine::start`] returns. **What a call caused is on that channel before the call returns.**

mod capture;
mod channel;
mod configured;
mod core;
mod device_level;
mod device_watch;
mod devices;
mod diagnostics;
mod encoding;
mod endpoint;
mod error;
mod event;
mod handle;
mod levels;
mod message;
mod mos;
mod network;
mod phone_call;
mod player;
mod playing;
mod previewing;
mod publishing;
mod quality;
mod recent;
mod recording;
mod request;
mod room;
mod rooms;
mod scenario;
mod snapshot;
mod speaker;
mod token;
mod viewing;

pub use diagnostics::{Diagnostic, network_mode};
pub use error::EngineError;
pub use event::{
    Change, DeviceLevel, DeviceObject, EngineEvent, EngineInfo, FirstFrame, Message, News, PlayerInfo, PublisherInfo,
    Quality, QualityValue, RemoteStream, RoomExtraInfo, RoomInfo, StreamInfo, User, VideoLayer, ViewInfo,
};
pub use handle::Engine;
pub use levels::{LevelListener, SoundLevels};
pub use request::{
    AudioChoice, CanvasRequest, Endpoint, Login, MessageKind, PlatformTarget, Play, Profile, Publish, Record,
    StreamLists, VideoChoice,
};
