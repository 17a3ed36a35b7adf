//! `mute`, `volume`.

use serde_json::json;
use zbus::proxy::CacheProperties;
use zego_protocol::proxy::{DeviceProxy, PlayerProxy, PublisherProxy};

use crate::arguments::Switch;
use crate::bus::{Daemon, Object, Objects};
use crate::failure::Failure;
use crate::output::Output;

/// What `mute` and `volume` are aimed at.
enum Target<'a> {
    Microphone,
    Speaker,
    Camera,
    Published(&'a Object),
    Played(&'a Object),
}

impl Target<'_> {
    fn find<'a>(name: &str, objects: &'a Objects) -> Result<Target<'a>, Failure> {
        match name {
            "microphone" => return Ok(Target::Microphone),
            "speaker" => return Ok(Target::Speaker),
            "camera" => return Ok(Target::Camera),
            _ => {}
        }
        let published = objects.find("Publisher", "stream_id", name).map(Target::Published);
        published.or_else(|| objects.find("Player", "stream_id", name).map(Target::Played)).ok_or_else(|| {
            Failure::refused(1_004_011, &format!("Stream '{name}' is neither published nor played here"))
        })
    }
}

macro_rules! proxy {
    ($kind:ident, $daemon:expr, $object:expr) => {
        $kind::builder(&$daemon.connection)
            .path($object.path.as_str())
            .cache_properties(CacheProperties::No)
            .build()
            .await?
    };
}

/// Mutes or unmutes.
pub async fn mute(daemon: &Daemon, name: &str, state: Switch, video: bool, output: Output) -> Result<(), Failure> {
    let muted = state == Switch::On;
    let objects = daemon.objects().await?;
    match (Target::find(name, &objects)?, video) {
        (Target::Microphone, false) => daemon.engine.mute_microphone(muted).await?,
        (Target::Speaker, false) => daemon.engine.mute_speaker(muted).await?,
        (Target::Camera, _) => daemon.engine.enable_camera(!muted, 0).await?,
        (Target::Microphone | Target::Speaker, true) => {
            return Err(Failure::Usage(format!("{name} has no picture; leave out --video")));
        }
        (Target::Published(object), false) => proxy!(PublisherProxy, daemon, object).set_audio_muted(muted).await?,
        (Target::Published(object), true) => proxy!(PublisherProxy, daemon, object).set_video_muted(muted).await?,
        (Target::Played(object), false) => proxy!(PlayerProxy, daemon, object).set_audio_muted(muted).await?,
        (Target::Played(object), true) => proxy!(PlayerProxy, daemon, object).set_video_muted(muted).await?,
    }
    let word = if muted { "muted" } else { "not muted" };
    let part = if video { "'s picture" } else { "" };
    output.answer(&json!({"target": name, "video": video, "muted": muted}), || format!("{name}{part} is {word}."))
}

/// Sets a volume. The microphone's is that of everything that is published, else its device's.
pub async fn volume(daemon: &Daemon, name: &str, volume: i32, output: Output) -> Result<(), Failure> {
    let objects = daemon.objects().await?;
    match Target::find(name, &objects)? {
        Target::Microphone => {
            let mut publishers = objects.of("Publisher").peekable();
            if publishers.peek().is_none() {
                set_device(daemon, &objects, "microphone", volume).await?;
            }
            for publisher in publishers {
                proxy!(PublisherProxy, daemon, publisher).set_capture_volume(volume).await?;
            }
        }
        Target::Speaker => set_device(daemon, &objects, "speaker", volume).await?,
        Target::Camera => return Err(Failure::Usage("a camera has no volume".to_string())),
        Target::Published(object) => proxy!(PublisherProxy, daemon, object).set_capture_volume(volume).await?,
        Target::Played(object) => proxy!(PlayerProxy, daemon, object).set_volume(volume).await?,
    }
    output.answer(&json!({"target": name, "volume": volume}), || format!("The volume of {name} is {volume}."))
}

/// Sets the volume of the device of a kind that is in use, else of the default one.
async fn set_device(daemon: &Daemon, objects: &Objects, kind: &str, volume: i32) -> Result<(), Failure> {
    let of_kind = || objects.of("Device").filter(|device| device.text("kind") == kind);
    let device = of_kind()
        .find(|device| device.text("state") == "in_use")
        .or_else(|| of_kind().find(|device| crate::value::flag(&device.fields, "default")))
        .ok_or_else(|| Failure::refused(1_006_002, &format!("There is no {kind}")))?;
    Ok(proxy!(DeviceProxy, daemon, device).set_volume(volume).await?)
}
