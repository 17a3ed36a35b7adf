//! `org.zegod1.Publisher`.

use zbus::{OwnedObjectPath, Variant, interface};
use zego_protocol::names;

use super::error::Refusal;
use super::object::{Object, Shared, look};
use super::values::{self, Dictionary};
use crate::engine::{Engine, EngineError, PublisherInfo};

/// A publish channel in use.
pub(super) struct PublisherObject {
    shared: Shared<PublisherInfo>,
    engine: Engine,
}

/// A publish channel in use, from StartPublishing until StopPublishing or the final failure. N of its path is the channel.
#[interface(name = "org.zegod1.Publisher")]
impl PublisherObject {
    /// The stream's id.
    #[zbus(property(emits_changed_signal = "const"), name = "StreamID")]
    fn stream_id(&self) -> String {
        look(&self.shared).info.stream_id.clone()
    }

    /// The channel: 0 main, 1 aux, 2, 3.
    #[zbus(property(emits_changed_signal = "const"))]
    fn channel(&self) -> i32 {
        look(&self.shared).info.channel
    }

    /// The room that it publishes to; `/` = a WHIP endpoint.
    #[zbus(property(emits_changed_signal = "const"))]
    fn room(&self) -> OwnedObjectPath {
        // Rooms are counted from 1.
        values::path(Some(look(&self.shared).info.room).filter(|room| *room != 0).map(names::room_path))
    }

    /// `no_publish`, `publish_requesting` or `publishing`.
    #[zbus(property)]
    fn state(&self) -> String {
        look(&self.shared).info.state.word().to_owned()
    }

    /// The code that came with the state; 0 = none.
    #[zbus(property)]
    fn error_code(&self) -> i32 {
        look(&self.shared).info.code
    }

    /// Silence is sent, on this channel only.
    #[zbus(property)]
    fn audio_muted(&self) -> bool {
        look(&self.shared).info.audio_muted
    }

    /// Sends silence, or the sound. Errors: InvalidArgument, NotPublishing.
    #[zbus(property)]
    async fn set_audio_muted(&self, value: Variant<'_>) -> Result<(), Refusal> {
        let muted = bool_of("AudioMuted", &value)?;
        Ok(self.engine.mute_published_audio(self.number(), muted).await?)
    }

    /// No pictures are sent, on this channel only; the camera goes on.
    #[zbus(property)]
    fn video_muted(&self) -> bool {
        look(&self.shared).info.video_muted
    }

    /// Sends no pictures, or sends them. Errors: InvalidArgument, NotPublishing.
    #[zbus(property)]
    async fn set_video_muted(&self, value: Variant<'_>) -> Result<(), Refusal> {
        let muted = bool_of("VideoMuted", &value)?;
        Ok(self.engine.mute_published_video(self.number(), muted).await?)
    }

    /// Loudness of what is sent, 0 to 200; 100 = as it is.
    #[zbus(property)]
    fn capture_volume(&self) -> i32 {
        look(&self.shared).info.capture_volume
    }

    /// Sets the loudness of what is sent. Errors: InvalidArgument, NotPublishing.
    #[zbus(property)]
    async fn set_capture_volume(&self, value: Variant<'_>) -> Result<(), Refusal> {
        let volume = int_of("CaptureVolume", &value)?;
        Ok(self.engine.set_capture_volume(self.number(), volume).await?)
    }

    /// `H264`, or empty before the first picture.
    #[zbus(property)]
    fn video_codec(&self) -> String {
        look(&self.shared).info.video_codec.clone()
    }

    /// What really encodes: `openh264`, `v4l2m2m:/dev/video11`, `passthrough`.
    #[zbus(property)]
    fn video_encoder(&self) -> String {
        look(&self.shared).info.video_encoder.clone()
    }

    /// Encoded width in pixels; 0 before the first picture.
    #[zbus(property)]
    fn width(&self) -> u32 {
        look(&self.shared).info.width
    }

    /// Encoded height in pixels; 0 before the first picture.
    #[zbus(property)]
    fn height(&self) -> u32 {
        look(&self.shared).info.height
    }

    /// The camera's device object; `/` = none.
    #[zbus(property)]
    fn camera(&self) -> OwnedObjectPath {
        values::path(look(&self.shared).info.camera.map(names::device_path))
    }

    /// The microphone's device object; `/` = none.
    #[zbus(property)]
    fn microphone(&self) -> OwnedObjectPath {
        values::path(look(&self.shared).info.microphone.map(names::device_path))
    }

    /// What was measured last; see the signal PublisherQualityUpdate.
    #[zbus(property(emits_changed_signal = "false"))]
    fn quality(&self) -> Dictionary {
        values::quality(&look(&self.shared).quality)
    }
}

impl PublisherObject {
    fn number(&self) -> i32 {
        look(&self.shared).info.channel
    }
}

/// A value of a property that is a flag.
pub(super) fn bool_of(name: &str, value: &Variant<'_>) -> Result<bool, EngineError> {
    let wrong = |_| EngineError::argument(&format!("{name} has the wrong type; give a value of type 'b'"));
    bool::try_from(value).map_err(wrong)
}

/// A value of a property that is a number.
pub(super) fn int_of(name: &str, value: &Variant<'_>) -> Result<i32, EngineError> {
    let wrong = |_| EngineError::argument(&format!("{name} has the wrong type; give a value of type 'i'"));
    i32::try_from(value).map_err(wrong)
}

impl Object for PublisherObject {
    type Info = PublisherInfo;

    fn number(info: &PublisherInfo) -> u64 {
        u64::from(info.channel.unsigned_abs())
    }

    fn path(number: u64) -> String {
        names::publisher_path(number)
    }

    fn new(shared: Shared<PublisherInfo>, engine: Engine) -> Self {
        Self { shared, engine }
    }

    fn properties(info: &PublisherInfo) -> Vec<(&'static str, Variant<'static>)> {
        vec![
            ("State", info.state.word().into()),
            ("ErrorCode", info.code.into()),
            ("VideoCodec", info.video_codec.clone().into()),
            ("VideoEncoder", info.video_encoder.clone().into()),
            ("Width", info.width.into()),
            ("Height", info.height.into()),
            ("Camera", values::path(info.camera.map(names::device_path)).into()),
            ("Microphone", values::path(info.microphone.map(names::device_path)).into()),
        ]
    }
}
