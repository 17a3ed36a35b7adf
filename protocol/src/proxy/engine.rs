//! `org.zegod1.Engine`: the verbs and the callback signals.

use std::collections::HashMap;

use zbus::{Fd, OwnedFd, OwnedObjectPath};

use super::{Details, Options, Started, StreamEntry};

/// What the engine can do, and what it has to tell.
#[zbus::proxy(interface = "org.zegod1.Engine", default_service = "org.zegod1", default_path = "/org/zegod1")]
pub trait Engine {
    /// Makes the engine. A second call while it exists changes nothing.
    fn create_engine(&self, profile: Options<'_>) -> zbus::Result<()>;

    /// Leaves every room, releases every device, frees every view.
    fn destroy_engine(&self) -> zbus::Result<()>;

    /// Enters a room.
    fn login_room(&self, room_id: &str, user_id: &str, user_name: &str, config: Options<'_>) -> zbus::Result<Started>;

    /// Leaves a room; "" = all of them.
    fn logout_room(&self, room_id: &str) -> zbus::Result<()>;

    /// Leaves one room and enters another; the preview stays.
    fn switch_room(&self, from_room_id: &str, to_room_id: &str, config: Options<'_>) -> zbus::Result<Started>;

    /// Replaces the token before it expires.
    fn renew_token(&self, room_id: &str, token: &str) -> zbus::Result<()>;

    /// Sets the room's extra information.
    fn set_room_extra_info(&self, room_id: &str, key: &str, value: &str) -> zbus::Result<()>;

    /// The streams published by this engine, and those of others. `type` 0 = others' only.
    fn get_room_stream_list(&self, room_id: &str, r#type: i32) -> zbus::Result<(Vec<StreamEntry>, Vec<StreamEntry>)>;

    /// Publishes a stream.
    fn start_publishing(&self, stream_id: &str, config: Options<'_>) -> zbus::Result<Started>;

    /// Ends publishing; "" = the main channel's.
    fn stop_publishing(&self, stream_id: &str) -> zbus::Result<()>;

    /// Sets a published stream's extra information.
    fn set_stream_extra_info(&self, stream_id: &str, extra_info: &str) -> zbus::Result<()>;

    /// Shows the own picture. Needs no room.
    fn start_preview(&self, canvas: Options<'_>) -> zbus::Result<()>;

    /// Ends the preview.
    fn stop_preview(&self, channel: i32) -> zbus::Result<()>;

    /// Plays a stream; one that is not there yet is waited for.
    fn start_playing(&self, stream_id: &str, config: Options<'_>) -> zbus::Result<Started>;

    /// Ends playing.
    fn stop_playing(&self, stream_id: &str) -> zbus::Result<()>;

    /// Makes a view whose pixels the client draws.
    fn create_texture_renderer(&self, width: u32, height: u32, options: Options<'_>) -> zbus::Result<u64>;

    /// Changes a texture's size.
    fn update_texture_renderer_size(&self, view_id: u64, width: u32, height: u32) -> zbus::Result<()>;

    /// The texture's memory, its wake-up eventfd and its layout.
    fn open_texture(&self, view_id: u64) -> zbus::Result<(OwnedFd, OwnedFd, Details)>;

    /// Frees a texture.
    fn destroy_texture_renderer(&self, view_id: u64) -> zbus::Result<()>;

    /// Makes a view that the daemon shows itself.
    fn create_platform_view(&self, target: Options<'_>) -> zbus::Result<u64>;

    /// Frees a platform view.
    fn destroy_platform_view(&self, view_id: u64) -> zbus::Result<()>;

    /// A picture of a stream; "" = the captured one.
    fn take_snapshot(&self, stream_id: &str, options: Options<'_>) -> zbus::Result<OwnedFd>;

    /// Sizes, rate and codec of the video that is published.
    fn set_video_config(&self, config: Options<'_>, channel: i32) -> zbus::Result<()>;

    /// Bit rate and channels of the sound that is published.
    fn set_audio_config(&self, config: Options<'_>, channel: i32) -> zbus::Result<()>;

    /// Mutes the microphone.
    fn mute_microphone(&self, mute: bool) -> zbus::Result<()>;

    /// Mutes the speaker.
    fn mute_speaker(&self, mute: bool) -> zbus::Result<()>;

    /// Switches a camera on or off.
    fn enable_camera(&self, enable: bool, channel: i32) -> zbus::Result<()>;

    /// Changes camera, microphone or speaker, also mid-call.
    fn use_device(&self, device: &zbus::ObjectPath<'_>, channel: i32) -> zbus::Result<()>;

    /// Sends a message that arrives for certain; returns its id.
    fn send_broadcast_message(&self, room_id: &str, message: &str) -> zbus::Result<u64>;

    /// Sends a message that may get lost; returns its id.
    fn send_barrage_message(&self, room_id: &str, message: &str) -> zbus::Result<String>;

    /// Sends a command to some users; nobody named = everybody else.
    fn send_custom_command(&self, room_id: &str, command: &str, to_user_ids: &[&str]) -> zbus::Result<()>;

    /// Asks for the sound levels.
    fn start_sound_level_monitor(&self, options: Options<'_>) -> zbus::Result<()>;

    /// Ends the sound levels.
    fn stop_sound_level_monitor(&self) -> zbus::Result<()>;

    /// Records a stream into a file; "" = the captured one.
    fn start_recording(&self, stream_id: &str, file: Fd<'_>, options: Options<'_>) -> zbus::Result<()>;

    /// Ends a recording.
    fn stop_recording(&self, stream_id: &str) -> zbus::Result<()>;

    /// Everything that a bug report needs, no secrets.
    fn get_diagnostics(&self) -> zbus::Result<Details>;

    /// The daemon's version.
    #[zbus(property, name = "Version")]
    fn version(&self) -> zbus::Result<String>;

    /// `destroyed` or `created`.
    #[zbus(property, name = "State")]
    fn state(&self) -> zbus::Result<String>;

    /// The AppID; 0 = none.
    #[zbus(property, name = "AppID")]
    fn app_id(&self) -> zbus::Result<u32>;

    /// Whether the microphone is muted.
    #[zbus(property, name = "MicrophoneMuted")]
    fn microphone_muted(&self) -> zbus::Result<bool>;

    /// Whether the speaker is muted.
    #[zbus(property, name = "SpeakerMuted")]
    fn speaker_muted(&self) -> zbus::Result<bool>;

    /// How the network is reached.
    #[zbus(property, name = "NetworkMode")]
    fn network_mode(&self) -> zbus::Result<String>;

    /// Whether a telephone call holds the audio devices.
    #[zbus(property, name = "CallActive")]
    fn call_active(&self) -> zbus::Result<bool>;

    /// What this daemon can do on this device.
    #[zbus(property, name = "Features")]
    fn features(&self) -> zbus::Result<Vec<String>>;

    /// A room's state changed.
    #[zbus(signal)]
    fn room_state_update(
        &self,
        room_id: String,
        state: i32,
        error_code: i32,
        extended_data: Details,
    ) -> zbus::Result<()>;

    /// Users came or went.
    #[zbus(signal)]
    fn room_user_update(&self, room_id: String, update_type: i32, users: Vec<(String, String)>) -> zbus::Result<()>;

    /// Streams came or went.
    #[zbus(signal)]
    fn room_stream_update(
        &self,
        room_id: String,
        update_type: i32,
        streams: Vec<StreamEntry>,
        extended_data: Details,
    ) -> zbus::Result<()>;

    /// How many are in the room.
    #[zbus(signal)]
    fn room_online_user_count_update(&self, room_id: String, count: i32) -> zbus::Result<()>;

    /// The room's extra information: key, value, user, time in ms.
    #[zbus(signal)]
    fn room_extra_info_update(&self, room_id: String, info: Vec<(String, String, String, u64)>) -> zbus::Result<()>;

    /// Streams' extra information.
    #[zbus(signal)]
    fn room_stream_extra_info_update(&self, room_id: String, streams: Vec<(String, String)>) -> zbus::Result<()>;

    /// The token expires soon.
    #[zbus(signal)]
    fn room_token_will_expire(&self, room_id: String, remaining_seconds: i32) -> zbus::Result<()>;

    /// A publisher's state changed.
    #[zbus(signal)]
    fn publisher_state_update(
        &self,
        stream_id: String,
        state: i32,
        error_code: i32,
        extended_data: Details,
    ) -> zbus::Result<()>;

    /// How publishing goes, every 3 s.
    #[zbus(signal)]
    fn publisher_quality_update(&self, stream_id: String, quality: Details) -> zbus::Result<()>;

    /// The first of its kind was captured or sent.
    #[zbus(signal)]
    fn publisher_first_frame(&self, stream_id: String, kind: String) -> zbus::Result<()>;

    /// A player's state changed.
    #[zbus(signal)]
    fn player_state_update(
        &self,
        stream_id: String,
        state: i32,
        error_code: i32,
        extended_data: Details,
    ) -> zbus::Result<()>;

    /// How playing goes, every 3 s.
    #[zbus(signal)]
    fn player_quality_update(&self, stream_id: String, quality: Details) -> zbus::Result<()>;

    /// The first of its kind was received or rendered.
    #[zbus(signal)]
    fn player_first_frame(&self, stream_id: String, kind: String) -> zbus::Result<()>;

    /// Sound or picture broke up, or is whole again.
    #[zbus(signal)]
    fn player_media_event(&self, stream_id: String, event: i32) -> zbus::Result<()>;

    /// The received picture has another size.
    #[zbus(signal)]
    fn player_video_size_changed(&self, stream_id: String, width: i32, height: i32) -> zbus::Result<()>;

    /// Somebody's camera or microphone changed.
    #[zbus(signal)]
    fn remote_device_state_update(&self, stream_id: String, device: String, state: i32) -> zbus::Result<()>;

    /// A device came or went.
    #[zbus(signal)]
    fn device_state_changed(&self, kind: String, update_type: i32, device: OwnedObjectPath) -> zbus::Result<()>;

    /// A device of ours failed.
    #[zbus(signal)]
    fn local_device_exception(
        &self,
        kind: String,
        exception: i32,
        device: OwnedObjectPath,
        message: String,
    ) -> zbus::Result<()>;

    /// The own level, 0 to 100.
    #[zbus(signal)]
    fn captured_sound_level_update(&self, level: f64) -> zbus::Result<()>;

    /// The others' levels by stream.
    #[zbus(signal)]
    fn remote_sound_level_update(&self, levels: HashMap<String, f64>) -> zbus::Result<()>;

    /// Somebody speaks here.
    #[zbus(signal)]
    fn captured_voice_activity_update(&self, voice: bool) -> zbus::Result<()>;

    /// Who of the others speaks, by stream.
    #[zbus(signal)]
    fn remote_voice_activity_update(&self, voices: HashMap<String, bool>) -> zbus::Result<()>;

    /// Messages: text, user id, user name, message id, time in ms.
    #[zbus(signal)]
    fn broadcast_message_received(
        &self,
        room_id: String,
        messages: Vec<(String, String, String, u64, u64)>,
    ) -> zbus::Result<()>;

    /// Messages: text, user id, user name, message id, time in ms.
    #[zbus(signal)]
    fn barrage_message_received(
        &self,
        room_id: String,
        messages: Vec<(String, String, String, String, u64)>,
    ) -> zbus::Result<()>;

    /// A command.
    #[zbus(signal)]
    fn custom_command_received(
        &self,
        room_id: String,
        user_id: String,
        user_name: String,
        command: String,
    ) -> zbus::Result<()>;

    /// A recording began, goes on or ended.
    #[zbus(signal)]
    fn recording_state_update(
        &self,
        stream_id: String,
        state: i32,
        error_code: i32,
        extended_data: Details,
    ) -> zbus::Result<()>;

    /// The network is reached in another way.
    // Not `network_mode_changed`: the property NetworkMode has a stream of that name.
    #[zbus(signal, name = "NetworkModeChanged")]
    fn network_mode_news(&self, mode: String) -> zbus::Result<()>;

    /// A call was wrong.
    #[zbus(signal)]
    fn debug_error(&self, error_code: i32, method: String, message: String) -> zbus::Result<()>;
}
