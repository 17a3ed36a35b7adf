//! `org.zegod1.Engine`: the verbs, the properties and the callback signals, as clients see them. `zbus` wants an interface in one
//! block, so that is all that is here; what a verb does with its arguments is in the files below, by topic.

mod rooms;
mod settings;
mod sound;
mod streams;
mod views;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, Fd, ObjectPath, OwnedObjectPath, OwnedVariant, interface};
use zego_protocol::names;

use super::callers::Callers;
use super::error::Refusal;
use super::levels::LevelMonitors;
use super::values::{Dictionary, StreamValue};
use crate::engine::{Engine, EngineError, EngineInfo, MessageKind};

/// What this version can do; a client asks here before it offers something.
const FEATURES: [&str; 20] = [
    "audio",
    "video",
    "preview",
    "texture",
    "pipe",
    "null",
    "several_rooms",
    "several_channels",
    "several_players",
    "h264_encode",
    "h264_decode",
    "vp8_decode",
    "broadcast_message",
    "barrage_message",
    "custom_command",
    "room_extra_info",
    "snapshot",
    "recording",
    "sound_levels",
    "voice_activity",
];

/// Options of a call, as they come over the bus.
type Given = HashMap<String, OwnedVariant>;
/// What the engine says to a call.
type Outcome<T> = std::result::Result<T, EngineError>;
/// What a call returns.
type Result<T> = std::result::Result<T, Refusal>;

/// The root object's interface.
pub(super) struct EngineInterface {
    emitter: SignalEmitter<'static>,
    engine: Engine,
    state: Arc<Mutex<EngineInfo>>,
    handled: watch::Receiver<u64>,
    callers: Callers,
    levels: LevelMonitors,
}

impl EngineInterface {
    pub(super) fn new(
        connection: Connection,
        engine: Engine,
        state: Arc<Mutex<EngineInfo>>,
        handled: watch::Receiver<u64>,
        callers: Callers,
        levels: LevelMonitors,
    ) -> Self {
        let root = ObjectPath::from_static_str_unchecked(names::ROOT_PATH);
        let emitter = SignalEmitter::from_parts(connection, root);
        Self { emitter, engine, state, handled, callers, levels }
    }

    fn info(&self) -> EngineInfo {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does what a call asks, and returns when the bus knows what it caused.
    async fn run<T>(&self, call: &'static str, work: impl Future<Output = Outcome<T>>) -> Result<T> {
        let outcome = work.await;
        let told = self.engine.events_told();
        let mut handled = self.handled.clone();
        // An error means that the daemon ends; the reply does not matter then.
        let _ = handled.wait_for(|count| *count >= told).await;
        if let Err(error) = &outcome {
            log::info!("{call} refused: {error}");
            let _ = Self::debug_error(&self.emitter, error.code, call, &error.message).await;
        }
        Ok(outcome?)
    }
}

/// The verbs of the engine and its callback signals, with ids as arguments. The state is in the objects below this one
/// (org.freedesktop.DBus.ObjectManager). Options are `a{sv}`; an unknown key or a value of another type is refused.
/// Every error is `org.zegod1.Error.NAME`, and its message ends with its code in brackets; `zegoctl explain CODE`.
#[interface(name = "org.zegod1.Engine")]
impl EngineInterface {
    /// Makes the engine. Optional: the first call that needs it makes it from the configuration. A second call changes
    /// nothing. profile: `app_id` u, `scenario` i (ZegoScenario), `room_mode` i (0 one room, 1 several).
    /// Errors: InvalidArgument.
    async fn create_engine(&self, profile: Given) -> Result<()> {
        self.run("CreateEngine", self.create(profile)).await
    }

    /// Logs out of every room, releases every device and frees every view. Without an engine it does nothing.
    /// Errors: none.
    async fn destroy_engine(&self) -> Result<()> {
        self.run("DestroyEngine", self.engine.destroy()).await
    }

    /// Logs in to a room. `user_name` empty = `user_id`. config: `token` s, `server` s (ws:// or wss:// URL, or auto),
    /// `is_user_status_notify` b, `max_member_count` u, `bind_to_caller` b, `wait` b (false = return at once).
    /// Returns the room's object and its state: 2 connected, or 1 when it is still being tried.
    /// A server that makes no rooms by itself has to have one of this id.
    /// Errors: InvalidArgument, AlreadyLoggedIn, RoomNotFound, AuthenticationFailed, LoggedInElsewhere, RoomFull, RateLimited, Forbidden,
    /// ServerUnreachable, Internal.
    #[zbus(out_args("room", "state"))]
    async fn login_room(
        &self,
        #[zbus(header)] header: Header<'_>,
        room_id: String,
        user_id: String,
        user_name: String,
        config: Given,
    ) -> Result<(OwnedObjectPath, i32)> {
        self.run("LoginRoom", self.log_in(&header, room_id, user_id, user_name, config)).await
    }

    /// Leaves a room; publishing and playing in it end. Empty = all rooms.
    /// Errors: RoomNotFound.
    async fn logout_room(&self, room_id: String) -> Result<()> {
        self.run("LogoutRoom", self.engine.logout(&room_id)).await
    }

    /// Leaves a room for another one, as the same user. Publishing and playing end, the preview goes on.
    /// config: as LoginRoom. Errors: RoomNotFound, InvalidArgument, AlreadyLoggedIn, AuthenticationFailed,
    /// LoggedInElsewhere, RoomFull, RateLimited, Forbidden, ServerUnreachable, Internal.
    #[zbus(out_args("room", "state"))]
    async fn switch_room(
        &self,
        #[zbus(header)] header: Header<'_>,
        from_room_id: String,
        to_room_id: String,
        config: Given,
    ) -> Result<(OwnedObjectPath, i32)> {
        self.run("SwitchRoom", self.switch(&header, &from_room_id, to_room_id, config)).await
    }

    /// Gives a room a new token, for the next login, come-back or publishing. Errors: RoomNotFound, AuthenticationFailed,
    /// Forbidden, ServerUnreachable.
    async fn renew_token(&self, room_id: String, token: String) -> Result<()> {
        self.run("RenewToken", self.engine.renew_token(&room_id, &token)).await
    }

    /// Sets the room's extra information, which everybody sees and who comes later finds: one key in a room, under 128
    /// bytes, with a value up to 128 bytes, 10 times a second at most.
    /// Errors: InvalidArgument, NotLoggedIn, RoomNotFound, RateLimited, ServerUnreachable, Forbidden, Unsupported, Internal.
    async fn set_room_extra_info(&self, room_id: String, key: String, value: String) -> Result<()> {
        self.run("SetRoomExtraInfo", self.engine.set_room_extra_info(&room_id, &key, &value)).await
    }

    /// The streams of a room: for each its id, its user's id and name, and `extra_info` s, `has_audio` b, `has_video` b.
    /// type: 0 = those of others, 1 = ours too. Errors: NotLoggedIn, RoomNotFound, InvalidArgument.
    #[zbus(out_args("publish", "play"))]
    async fn get_room_stream_list(&self, room_id: String, r#type: i32) -> Result<(Vec<StreamValue>, Vec<StreamValue>)> {
        self.run("GetRoomStreamList", self.room_streams(&room_id, r#type)).await
    }

    /// Publishes camera and microphone. config: `room_id` s (needed with several rooms), `channel` i (0 to 3),
    /// `audio` b, `video` b, `extra_info` s, `bind_to_caller` b; or, to a WHIP endpoint in the place of a room, `whip_url` s
    /// (http:// or https://) and `whip_token` s. Returns the publisher's object and its state.
    /// Errors: InvalidArgument, NotLoggedIn, RoomNotFound, ChannelBusy, StreamExists, Forbidden, AuthenticationFailed,
    /// LoggedInElsewhere, ServerUnreachable, DeviceNotFound, DeviceBusy, DeviceUnplugged, DeviceFailed, Unsupported, Internal.
    #[zbus(out_args("publisher", "state"))]
    async fn start_publishing(
        &self,
        #[zbus(header)] header: Header<'_>,
        stream_id: String,
        config: Given,
    ) -> Result<(OwnedObjectPath, i32)> {
        self.run("StartPublishing", self.publish(&header, stream_id, config)).await
    }

    /// Stops publishing a stream; empty = the main channel's. Errors: NotPublishing.
    async fn stop_publishing(&self, stream_id: String) -> Result<()> {
        self.run("StopPublishing", self.engine.stop_publishing(&stream_id)).await
    }

    /// Changes the text of a stream of ours, which the others in the room see. Without a link it is told when that is back; what the
    /// server refuses, or does not answer in 10 s, is not told later.
    /// Errors: InvalidArgument, NotPublishing, RateLimited, ServerUnreachable, Forbidden, Unsupported, Internal.
    async fn set_stream_extra_info(&self, stream_id: String, extra_info: String) -> Result<()> {
        self.run("SetStreamExtraInfo", self.engine.set_stream_extra_info(&stream_id, &extra_info)).await
    }

    /// Shows the camera; needs no room. canvas: `view` t, `view_mode` i (0 fit, 1 fill, 2 stretch), `background_color` u
    /// (0xRRGGBB), `mirror` b (default true here), `channel` i.
    /// Errors: InvalidArgument, ViewNotFound, DeviceNotFound, DeviceBusy, DeviceUnplugged, DeviceFailed.
    async fn start_preview(&self, canvas: Given) -> Result<()> {
        self.run("StartPreview", self.preview(canvas)).await
    }

    /// Shows the camera no more. Errors: InvalidArgument.
    async fn stop_preview(&self, channel: i32) -> Result<()> {
        self.run("StopPreview", self.engine.stop_preview(channel)).await
    }

    /// Plays a stream; one that is not there yet is waited for (state 1). config: `view` t (without it only the sound),
    /// `view_mode` i (0 fit, 1 fill, 2 stretch), `background_color` u (0xRRGGBB), `mirror` b, `room_id` s, `audio` b,
    /// `video` b, `bind_to_caller` b; or, from a WHEP endpoint in the place of a room, `whep_url` s (http:// or https://) and
    /// `whep_token` s. Playing a stream again changes its view (without one it has only sound from then on) and, where they are
    /// given, `audio` and `video`; from another room or endpoint it is refused. Returns the player's object and its state.
    /// Errors: InvalidArgument, NotLoggedIn, RoomNotFound, ViewNotFound, TooManyStreams, NotPlaying, Forbidden,
    /// AuthenticationFailed, LoggedInElsewhere, ServerUnreachable, Unsupported, Internal.
    #[zbus(out_args("player", "state"))]
    async fn start_playing(
        &self,
        #[zbus(header)] header: Header<'_>,
        stream_id: String,
        config: Given,
    ) -> Result<(OwnedObjectPath, i32)> {
        self.run("StartPlaying", self.play(&header, stream_id, config)).await
    }

    /// Stops playing a stream. Errors: NotPlaying.
    async fn stop_playing(&self, stream_id: String) -> Result<()> {
        self.run("StopPlaying", self.engine.stop_playing(&stream_id)).await
    }

    /// Makes a view whose pixels the client draws itself, `width` by `height` pixels. options: `format` s: `XR24` (the
    /// default) or `YU12` (planar, at the source's size); `bind_to_caller` b (it ends with the caller).
    /// Errors: InvalidArgument.
    #[zbus(out_args("view_id"))]
    async fn create_texture_renderer(
        &self,
        #[zbus(header)] header: Header<'_>,
        width: u32,
        height: u32,
        options: Given,
    ) -> Result<u64> {
        self.run("CreateTextureRenderer", self.create_texture(&header, width, height, options)).await
    }

    /// Gives a texture another size; clients open it again. Errors: ViewNotFound, InvalidArgument.
    async fn update_texture_renderer_size(&self, view_id: u64, width: u32, height: u32) -> Result<()> {
        self.run("UpdateTextureRendererSize", self.engine.update_texture_size(view_id, width, height)).await
    }

    /// What a client reads a texture with: a memfd to be mapped read-only, an eventfd that counts frames, and the layout
    /// (`version`, `slot_count`, `slot_size`, `first_slot`, `width`, `height`, `stride` u, `fourcc` s).
    /// Errors: ViewNotFound.
    #[zbus(out_args("memory", "wakeup", "layout"))]
    async fn open_texture(&self, view_id: u64) -> Result<(Fd<'static>, Fd<'static>, Dictionary)> {
        self.run("OpenTexture", self.texture(view_id)).await
    }

    /// Destroys a texture; what it showed goes on without. Errors: ViewNotFound.
    async fn destroy_texture_renderer(&self, view_id: u64) -> Result<()> {
        self.run("DestroyTextureRenderer", self.engine.destroy_texture(view_id)).await
    }

    /// Makes a view that the daemon shows itself. target: `kind` s: `pipe` (`fd` h: Y4M to the caller's descriptor, for
    /// as long as the caller is on the bus) or `null`; `bind_to_caller` b. `kms` and `v4l2` are not in this version.
    /// Errors: InvalidArgument, Unsupported.
    #[zbus(out_args("view_id"))]
    async fn create_platform_view(&self, #[zbus(header)] header: Header<'_>, target: Given) -> Result<u64> {
        self.run("CreatePlatformView", self.create_view(&header, target)).await
    }

    /// Destroys a view that is not a texture. Errors: ViewNotFound.
    async fn destroy_platform_view(&self, view_id: u64) -> Result<()> {
        self.run("DestroyPlatformView", self.engine.destroy_platform_view(view_id)).await
    }

    /// A picture of a played stream at its size, or (empty) of the camera at the encoder's: a sealed memfd that holds an image
    /// of 8 bit RGB. options: `format` s (`png`, `jpeg`). Waits up to 2 s for a picture; when none comes, the codes 1003030 and
    /// 1004030 say so. Errors: InvalidArgument, NotPublishing, NotPlaying.
    #[zbus(out_args("image"))]
    async fn take_snapshot(&self, stream_id: String, options: Given) -> Result<Fd<'static>> {
        self.run("TakeSnapshot", self.snapshot(&stream_id, options)).await
    }

    /// How pictures are captured and encoded. config: `capture_width`, `capture_height`, `encode_width`,
    /// `encode_height`, `fps`, `bitrate` (kbit/s), `key_frame_interval` (s) u, `codec` s (`H264`), or `preset` i (0 to 5).
    /// Errors: InvalidArgument, Unsupported.
    async fn set_video_config(&self, config: Given, channel: i32) -> Result<()> {
        self.run("SetVideoConfig", self.set_video(config, channel)).await
    }

    /// How sound is encoded. config: `bitrate` u (kbit/s), `channels` u (1 or 2, not while the channel publishes), or
    /// `preset` i (0 to 4; 2 and 4 are stereo). Errors: InvalidArgument.
    async fn set_audio_config(&self, config: Given, channel: i32) -> Result<()> {
        self.run("SetAudioConfig", self.set_audio(config, channel)).await
    }

    /// Sends silence on every channel, or the sound. The microphone stays open. Errors: none.
    async fn mute_microphone(&self, mute: bool) -> Result<()> {
        self.run("MuteMicrophone", self.engine.mute_microphone(mute)).await
    }

    /// Plays silence, or the voices. Errors: none.
    async fn mute_speaker(&self, mute: bool) -> Result<()> {
        self.run("MuteSpeaker", self.engine.mute_speaker(mute)).await
    }

    /// Releases a channel's camera (false), or uses it again. Errors: InvalidArgument, DeviceNotFound, DeviceBusy,
    /// DeviceUnplugged, DeviceFailed.
    async fn enable_camera(&self, enable: bool, channel: i32) -> Result<()> {
        self.run("EnableCamera", self.engine.enable_camera(enable, channel)).await
    }

    /// Uses a camera, microphone or speaker from now on, also mid-call. Errors: DeviceNotFound, DeviceBusy, DeviceUnplugged,
    /// DeviceFailed, InvalidArgument.
    async fn use_device(&self, device: ObjectPath<'_>, channel: i32) -> Result<()> {
        self.run("UseDevice", self.use_object(&device, channel)).await
    }

    /// Says something to everybody else in a room, reliably. Errors: InvalidArgument, NotLoggedIn, RoomNotFound, RateLimited,
    /// ServerUnreachable.
    #[zbus(out_args("message_id"))]
    async fn send_broadcast_message(&self, room_id: String, message: String) -> Result<u64> {
        let work = self.engine.send_message(MessageKind::Broadcast, &room_id, &message, Vec::new());
        self.run("SendBroadcastMessage", work).await
    }

    /// Says something to everybody else in a room; it may get lost. Errors: InvalidArgument, NotLoggedIn, RoomNotFound,
    /// RateLimited, ServerUnreachable.
    #[zbus(out_args("message_id"))]
    async fn send_barrage_message(&self, room_id: String, message: String) -> Result<String> {
        let work = self.engine.send_message(MessageKind::Barrage, &room_id, &message, Vec::new());
        self.run("SendBarrageMessage", work).await.map(|id| id.to_string())
    }

    /// Sends a command to some users, or with an empty list to everybody else. Errors: InvalidArgument, NotLoggedIn,
    /// RoomNotFound, RateLimited, ServerUnreachable.
    async fn send_custom_command(&self, room_id: String, command: String, to_user_ids: Vec<String>) -> Result<()> {
        let work = self.engine.send_message(MessageKind::Command, &room_id, &command, to_user_ids);
        self.run("SendCustomCommand", work).await.map(drop)
    }

    /// Tells the caller, and nobody else, how loud the microphone and each played stream are, until it stops or leaves the
    /// bus: CapturedSoundLevelUpdate and RemoteSoundLevelUpdate. Opens no device; what is closed or muted has level 0.
    /// Calling again changes the options. options: `interval_ms` u (100 to 3000, default 100), `vad` b (voice or noise, too:
    /// CapturedVoiceActivityUpdate and RemoteVoiceActivityUpdate). Another interval has the code 1006031.
    /// Errors: InvalidArgument.
    async fn start_sound_level_monitor(&self, #[zbus(header)] header: Header<'_>, options: Given) -> Result<()> {
        self.run("StartSoundLevelMonitor", self.start_levels(&header, options)).await
    }

    /// Tells the caller sound levels no more. None asked for is fine. Errors: none.
    async fn stop_sound_level_monitor(&self, #[zbus(header)] header: Header<'_>) -> Result<()> {
        self.run("StopSoundLevelMonitor", self.stop_levels(&header)).await
    }

    /// Records a played stream, or (empty) the captured one, to the caller's descriptor, as a fragmented MP4 of H.264 (or a VP8
    /// stream as it is) and Opus, without encoding anything twice. options: `audio` b, `video` b (both default true). Ends with
    /// StopRecording, the stream, the engine, the caller, or a descriptor that takes no more; RecordingStateUpdate tells.
    /// Errors: InvalidArgument, NotPublishing, NotPlaying.
    async fn start_recording(
        &self,
        #[zbus(header)] header: Header<'_>,
        stream_id: String,
        file: Fd<'_>,
        options: Given,
    ) -> Result<()> {
        self.run("StartRecording", self.record(&header, stream_id, file, options)).await
    }

    /// Ends a recording; returns when everything is written. Errors: NotPublishing, NotPlaying.
    async fn stop_recording(&self, stream_id: String) -> Result<()> {
        self.run("StopRecording", self.engine.stop_recording(&stream_id)).await
    }

    /// Everything that a bug report needs, no secrets. Errors: none.
    #[zbus(out_args("diagnostics"))]
    async fn get_diagnostics(&self) -> Result<Dictionary> {
        self.run("GetDiagnostics", self.diagnostics()).await
    }

    /// The daemon's version.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    /// `destroyed` or `created`.
    #[zbus(property)]
    fn state(&self) -> String {
        if self.info().created { "created".to_owned() } else { "destroyed".to_owned() }
    }

    /// The AppID; 0 = none.
    #[zbus(property, name = "AppID")]
    fn app_id(&self) -> u32 {
        self.info().app_id
    }

    /// The microphone is muted: MuteMicrophone.
    #[zbus(property)]
    fn microphone_muted(&self) -> bool {
        self.info().microphone_muted
    }

    /// The speaker is muted: MuteSpeaker.
    #[zbus(property)]
    fn speaker_muted(&self) -> bool {
        self.info().speaker_muted
    }

    /// How the network is reached: `offline`, `unknown`, `ethernet`, `wifi`, `cellular`.
    #[zbus(property, name = "NetworkMode")]
    fn network_mode(&self) -> String {
        crate::engine::network_mode().word().to_owned()
    }

    /// A telephone call holds the audio devices: ModemManager or oFono reports one. Publishing and playing go on without sound.
    #[zbus(property)]
    fn call_active(&self) -> bool {
        self.info().call_active
    }

    /// What this version can do.
    #[zbus(property(emits_changed_signal = "const"))]
    fn features(&self) -> Vec<String> {
        FEATURES.iter().map(ToString::to_string).collect()
    }

    /// A room's state: 0 disconnected, 1 connecting, 2 connected. extended_data: `state`, `reason`, `message` s,
    /// `reason_code` i (ZegoRoomStateChangedReason), `room_session_id` s after a login.
    #[zbus(signal)]
    pub(super) async fn room_state_update(
        to: &SignalEmitter<'_>,
        room_id: &str,
        state: i32,
        error_code: i32,
        extended_data: Dictionary,
    ) -> zbus::Result<()>;

    /// Users came (0) or went (1): id and name of each. Only after a login with `is_user_status_notify`.
    #[zbus(signal)]
    pub(super) async fn room_user_update(
        to: &SignalEmitter<'_>,
        room_id: &str,
        update_type: i32,
        users: Vec<(String, String)>,
    ) -> zbus::Result<()>;

    /// Streams of others came (0) or went (1): stream id, user id, user name, and `extra_info` s, `has_audio` b,
    /// `has_video` b (of one that went: whether it ever had), `delete_reason` i.
    #[zbus(signal)]
    pub(super) async fn room_stream_update(
        to: &SignalEmitter<'_>,
        room_id: &str,
        update_type: i32,
        streams: Vec<StreamValue>,
        extended_data: Dictionary,
    ) -> zbus::Result<()>;

    /// How many people are in the room, this device among them.
    #[zbus(signal)]
    pub(super) async fn room_online_user_count_update(
        to: &SignalEmitter<'_>,
        room_id: &str,
        count: i32,
    ) -> zbus::Result<()>;

    /// The room's extra information: key, value, user id, Unix ms.
    #[zbus(signal)]
    pub(super) async fn room_extra_info_update(
        to: &SignalEmitter<'_>,
        room_id: &str,
        infos: Vec<(String, String, String, u64)>,
    ) -> zbus::Result<()>;

    /// The text of somebody's streams: stream id and text.
    #[zbus(signal)]
    pub(super) async fn room_stream_extra_info_update(
        to: &SignalEmitter<'_>,
        room_id: &str,
        streams: Vec<(String, String)>,
    ) -> zbus::Result<()>;

    /// The room's token expires soon; RenewToken.
    #[zbus(signal)]
    pub(super) async fn room_token_will_expire(
        to: &SignalEmitter<'_>,
        room_id: &str,
        remaining_seconds: i32,
    ) -> zbus::Result<()>;

    /// A publisher's state: 0 none, 1 requesting, 2 publishing. extended_data: `state`, `reason`, `message` s.
    #[zbus(signal)]
    pub(super) async fn publisher_state_update(
        to: &SignalEmitter<'_>,
        stream_id: &str,
        state: i32,
        error_code: i32,
        extended_data: Dictionary,
    ) -> zbus::Result<()>;

    /// How well a stream goes out, every 3 s: the keys of ZegoPublishStreamQuality in snake case. Rates per second and in
    /// kbit/s are d, times in ms i, ratios from 0 to 1 d, counters t. What cannot be measured is left out.
    #[zbus(signal)]
    pub(super) async fn publisher_quality_update(
        to: &SignalEmitter<'_>,
        stream_id: &str,
        quality: Dictionary,
    ) -> zbus::Result<()>;

    /// `audio_captured`, `video_captured`, `audio_sent` or `video_sent` for the first time.
    #[zbus(signal)]
    pub(super) async fn publisher_first_frame(to: &SignalEmitter<'_>, stream_id: &str, kind: &str) -> zbus::Result<()>;

    /// A player's state: 0 none, 1 requesting, 2 playing. extended_data: `state`, `reason`, `message` s.
    #[zbus(signal)]
    pub(super) async fn player_state_update(
        to: &SignalEmitter<'_>,
        stream_id: &str,
        state: i32,
        error_code: i32,
        extended_data: Dictionary,
    ) -> zbus::Result<()>;

    /// How well a stream comes in, every 3 s: the keys of ZegoPlayStreamQuality in snake case. Rates per second and in
    /// kbit/s are d, times in ms i, ratios from 0 to 1 d, counters t. What cannot be measured is left out.
    #[zbus(signal)]
    pub(super) async fn player_quality_update(
        to: &SignalEmitter<'_>,
        stream_id: &str,
        quality: Dictionary,
    ) -> zbus::Result<()>;

    /// `audio_received`, `video_received` or `video_rendered` for the first time.
    #[zbus(signal)]
    pub(super) async fn player_first_frame(to: &SignalEmitter<'_>, stream_id: &str, kind: &str) -> zbus::Result<()>;

    /// Sound broke up (0) or is back (1), pictures froze (2) or move again (3).
    #[zbus(signal)]
    pub(super) async fn player_media_event(to: &SignalEmitter<'_>, stream_id: &str, event: i32) -> zbus::Result<()>;

    /// The size of the received pictures in pixels.
    #[zbus(signal)]
    pub(super) async fn player_video_size_changed(
        to: &SignalEmitter<'_>,
        stream_id: &str,
        width: i32,
        height: i32,
    ) -> zbus::Result<()>;

    /// Somebody's `camera` or `microphone` (ZegoRemoteDeviceState): 0 works, 1 does not work, 3 not permitted, 4 no pictures,
    /// 5 in use by another program, 6 unplugged, 9 disabled, 10 muted, 11 a telephone call has it. Also told of a stream that is new
    /// here, unless it is 0.
    #[zbus(signal)]
    pub(super) async fn remote_device_state_update(
        to: &SignalEmitter<'_>,
        stream_id: &str,
        device: &str,
        state: i32,
    ) -> zbus::Result<()>;

    /// A camera, microphone or speaker came (0) or went (1).
    #[zbus(signal, name = "DeviceStateChanged")]
    pub(super) async fn device_state(
        to: &SignalEmitter<'_>,
        kind: &str,
        update_type: i32,
        device: OwnedObjectPath,
    ) -> zbus::Result<()>;

    /// A device failed while it was used (ZegoDeviceException): 0 unknown, 1 in general, 2 wrong id, 3 not permitted, 4 no
    /// pictures, 5 in use by another program, 6 unplugged.
    #[zbus(signal)]
    pub(super) async fn local_device_exception(
        to: &SignalEmitter<'_>,
        kind: &str,
        exception: i32,
        device: OwnedObjectPath,
        message: &str,
    ) -> zbus::Result<()>;

    /// RMS level of what the microphone heard in the last 100 ms: 0 (-60 dBFS or less, muted or closed) to 100 (0 dBFS), linear
    /// in dB. Only to callers of StartSoundLevelMonitor.
    #[zbus(signal)]
    pub(super) async fn captured_sound_level_update(to: &SignalEmitter<'_>, level: f64) -> zbus::Result<()>;

    /// The same of each played stream as it was received, whatever its volume.
    #[zbus(signal)]
    pub(super) async fn remote_sound_level_update(
        to: &SignalEmitter<'_>,
        levels: HashMap<String, f64>,
    ) -> zbus::Result<()>;

    /// Somebody speaks at the microphone (or makes a noise that comes and goes). Only to callers who asked with `vad`.
    #[zbus(signal)]
    pub(super) async fn captured_voice_activity_update(to: &SignalEmitter<'_>, voice: bool) -> zbus::Result<()>;

    /// The same of each played stream.
    #[zbus(signal)]
    pub(super) async fn remote_voice_activity_update(
        to: &SignalEmitter<'_>,
        voices: HashMap<String, bool>,
    ) -> zbus::Result<()>;

    /// Somebody said something: message, user id, user name, message id, Unix ms.
    #[zbus(signal)]
    pub(super) async fn broadcast_message_received(
        to: &SignalEmitter<'_>,
        room_id: &str,
        messages: Vec<(String, String, String, u64, u64)>,
    ) -> zbus::Result<()>;

    /// Somebody said something that might have got lost: message, user id, user name, message id, Unix ms.
    #[zbus(signal)]
    pub(super) async fn barrage_message_received(
        to: &SignalEmitter<'_>,
        room_id: &str,
        messages: Vec<(String, String, String, String, u64)>,
    ) -> zbus::Result<()>;

    /// Somebody sent a command to this device.
    #[zbus(signal)]
    pub(super) async fn custom_command_received(
        to: &SignalEmitter<'_>,
        room_id: &str,
        user_id: &str,
        user_name: &str,
        command: &str,
    ) -> zbus::Result<()>;

    /// A recording: 0 none (an error ended it), 1 recording (every second), 2 finished. extended_data: `state`, `reason`,
    /// `message` s, `duration_ms`, `size` t (bytes written).
    #[zbus(signal)]
    pub(super) async fn recording_state_update(
        to: &SignalEmitter<'_>,
        stream_id: &str,
        state: i32,
        error_code: i32,
        extended_data: Dictionary,
    ) -> zbus::Result<()>;

    /// How the network is reached now.
    #[zbus(signal, name = "NetworkModeChanged")]
    pub(super) async fn network_mode_is(to: &SignalEmitter<'_>, mode: &str) -> zbus::Result<()>;

    /// A call was refused: code, method, the error's message.
    #[zbus(signal)]
    pub(super) async fn debug_error(
        to: &SignalEmitter<'_>,
        error_code: i32,
        method: &str,
        message: &str,
    ) -> zbus::Result<()>;
}
