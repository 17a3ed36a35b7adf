//! `org.zegod1.Player`.

use zbus::{OwnedObjectPath, Variant, interface};
use zego_protocol::names;

use super::error::Refusal;
use super::object::{Object, Shared, look};
use super::publisher::{bool_of, int_of};
use super::values::{self, Dictionary};
use crate::engine::{Engine, EngineError, PlayerInfo, VideoLayer};

/// A stream that is played or waited for.
pub(super) struct PlayerObject {
    shared: Shared<PlayerInfo>,
    engine: Engine,
}

/// A stream that is played or waited for, from StartPlaying until StopPlaying or the final failure.
#[interface(name = "org.zegod1.Player")]
impl PlayerObject {
    /// The stream's id.
    #[zbus(property(emits_changed_signal = "const"), name = "StreamID")]
    fn stream_id(&self) -> String {
        look(&self.shared).info.stream_id.clone()
    }

    /// The room that it plays from; `/` = a WHEP endpoint.
    #[zbus(property(emits_changed_signal = "const"))]
    fn room(&self) -> OwnedObjectPath {
        // Rooms are counted from 1.
        values::path(Some(look(&self.shared).info.room).filter(|room| *room != 0).map(names::room_path))
    }

    /// `no_play`, `play_requesting` or `playing`.
    #[zbus(property)]
    fn state(&self) -> String {
        look(&self.shared).info.state.word().to_owned()
    }

    /// The code that came with the state; 0 = none.
    #[zbus(property)]
    fn error_code(&self) -> i32 {
        look(&self.shared).info.code
    }

    /// Loudness, 0 to 200; 100 = as it is.
    #[zbus(property)]
    fn volume(&self) -> i32 {
        look(&self.shared).info.volume
    }

    /// Sets the loudness. Errors: InvalidArgument, NotPlaying.
    #[zbus(property)]
    async fn set_volume(&self, value: Variant<'_>) -> Result<(), Refusal> {
        let volume = int_of("Volume", &value)?;
        Ok(self.engine.set_play_volume(self.number(), volume).await?)
    }

    /// The sound is not received.
    #[zbus(property)]
    fn audio_muted(&self) -> bool {
        look(&self.shared).info.audio_muted
    }

    /// Receives no sound, or receives it. Errors: InvalidArgument, NotPlaying.
    #[zbus(property)]
    async fn set_audio_muted(&self, value: Variant<'_>) -> Result<(), Refusal> {
        let muted = bool_of("AudioMuted", &value)?;
        Ok(self.engine.mute_played_audio(self.number(), muted).await?)
    }

    /// The pictures are not received.
    #[zbus(property)]
    fn video_muted(&self) -> bool {
        look(&self.shared).info.video_muted
    }

    /// Receives no pictures, or receives them. Errors: InvalidArgument, NotPlaying.
    #[zbus(property)]
    async fn set_video_muted(&self, value: Variant<'_>) -> Result<(), Refusal> {
        let muted = bool_of("VideoMuted", &value)?;
        Ok(self.engine.mute_played_video(self.number(), muted).await?)
    }

    /// Which layer of a stream with several is played: `auto`, `small`, `big`.
    #[zbus(property)]
    fn video_layer(&self) -> String {
        look(&self.shared).info.video_layer.word().to_owned()
    }

    /// Chooses the layer. Errors: InvalidArgument, NotPlaying, Unsupported.
    #[zbus(property)]
    async fn set_video_layer(&self, value: Variant<'_>) -> Result<(), Refusal> {
        let wrong = || EngineError::argument("VideoLayer is 'auto', 'small' or 'big'");
        let word: &str = (&value).try_into().map_err(|_| wrong())?;
        let layer = VideoLayer::from_word(word).ok_or_else(wrong)?;
        Ok(self.engine.set_video_layer(self.number(), layer).await?)
    }

    /// `H264`, `VP8`, or empty before the first picture.
    #[zbus(property)]
    fn video_codec(&self) -> String {
        look(&self.shared).info.video_codec.clone()
    }

    /// What really decodes: `openh264`, `libvpx`, `v4l2m2m:…`.
    #[zbus(property)]
    fn video_decoder(&self) -> String {
        look(&self.shared).info.video_decoder.clone()
    }

    /// Width of the received picture in pixels.
    #[zbus(property)]
    fn width(&self) -> u32 {
        look(&self.shared).info.width
    }

    /// Height of the received picture in pixels.
    #[zbus(property)]
    fn height(&self) -> u32 {
        look(&self.shared).info.height
    }

    /// The view that shows it; `/` = none.
    #[zbus(property)]
    fn view(&self) -> OwnedObjectPath {
        values::path(look(&self.shared).info.view.map(names::view_path))
    }

    /// What was measured last; see the signal PlayerQualityUpdate.
    #[zbus(property(emits_changed_signal = "false"))]
    fn quality(&self) -> Dictionary {
        values::quality(&look(&self.shared).quality)
    }
}

impl PlayerObject {
    fn number(&self) -> u64 {
        look(&self.shared).info.number
    }
}

impl Object for PlayerObject {
    type Info = PlayerInfo;

    fn number(info: &PlayerInfo) -> u64 {
        info.number
    }

    fn path(number: u64) -> String {
        names::player_path(number)
    }

    fn new(shared: Shared<PlayerInfo>, engine: Engine) -> Self {
        Self { shared, engine }
    }

    fn properties(info: &PlayerInfo) -> Vec<(&'static str, Variant<'static>)> {
        vec![
            ("State", info.state.word().into()),
            ("ErrorCode", info.code.into()),
            ("VideoCodec", info.video_codec.clone().into()),
            ("VideoDecoder", info.video_decoder.clone().into()),
            ("Width", info.width.into()),
            ("Height", info.height.into()),
            ("View", values::path(info.view.map(names::view_path)).into()),
        ]
    }
}
