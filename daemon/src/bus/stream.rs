//! `org.zegod1.Stream`.

use zbus::{OwnedObjectPath, Variant, interface};
use zego_protocol::names;

use super::object::{Object, Shared, look};
use super::values;
use crate::engine::{Engine, StreamInfo};

/// A stream of somebody else, for as long as it is published.
pub(super) struct StreamObject(Shared<StreamInfo>);

/// A stream of somebody else, for as long as it is published.
#[interface(name = "org.zegod1.Stream")]
impl StreamObject {
    /// The stream's id.
    #[zbus(property(emits_changed_signal = "const"), name = "StreamID")]
    fn stream_id(&self) -> String {
        look(&self.0).info.stream.stream_id.clone()
    }

    /// Who publishes it.
    #[zbus(property(emits_changed_signal = "const"), name = "UserID")]
    fn user_id(&self) -> String {
        look(&self.0).info.stream.user.id.clone()
    }

    /// The publisher's name.
    #[zbus(property(emits_changed_signal = "const"))]
    fn user_name(&self) -> String {
        look(&self.0).info.stream.user.name.clone()
    }

    /// The room it is in.
    #[zbus(property(emits_changed_signal = "const"))]
    fn room(&self) -> OwnedObjectPath {
        values::path(Some(names::room_path(look(&self.0).info.room)))
    }

    /// The text that the publisher attached to it.
    #[zbus(property)]
    fn extra_info(&self) -> String {
        look(&self.0).info.stream.extra_info.clone()
    }

    /// It has sound.
    #[zbus(property)]
    fn has_audio(&self) -> bool {
        look(&self.0).info.stream.has_audio
    }

    /// It has pictures.
    #[zbus(property)]
    fn has_video(&self) -> bool {
        look(&self.0).info.stream.has_video
    }

    /// The publisher switched the sound off.
    #[zbus(property)]
    fn audio_muted(&self) -> bool {
        look(&self.0).info.stream.audio_muted
    }

    /// The publisher switched the pictures off.
    #[zbus(property)]
    fn video_muted(&self) -> bool {
        look(&self.0).info.stream.video_muted
    }
}

impl Object for StreamObject {
    type Info = StreamInfo;

    fn number(info: &StreamInfo) -> u64 {
        info.number
    }

    fn path(number: u64) -> String {
        names::stream_path(number)
    }

    fn new(shared: Shared<StreamInfo>, _engine: Engine) -> Self {
        Self(shared)
    }

    fn properties(info: &StreamInfo) -> Vec<(&'static str, Variant<'static>)> {
        let stream = &info.stream;
        vec![
            ("ExtraInfo", stream.extra_info.clone().into()),
            ("HasAudio", stream.has_audio.into()),
            ("HasVideo", stream.has_video.into()),
            ("AudioMuted", stream.audio_muted.into()),
            ("VideoMuted", stream.video_muted.into()),
        ]
    }
}
