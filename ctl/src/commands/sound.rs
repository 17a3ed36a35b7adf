//! `mute`, `volume`.

use serde_json::json;
use zbus::proxy::CacheProperties;
use zego_protocol::proxy::{DeviceProxy, PlayerProxy, PublisherProxy};

use crate::arguments::{Mute, Switch};
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
    Device(&'a Object),
}

impl Target<'_> {
    fn find<'a>(name: &str, objects: &'a Objects) -> Result<Target<'a>, Failure> {
        match name {
            "microphone" | "mic" => return Ok(Target::Microphone),
            "speaker" => return Ok(Target::Speaker),
            "camera" => return Ok(Target::Camera),
            _ => {}
        }
        let published = objects.find("Publisher", "stream_id", name).map(Target::Published);
        let played = || objects.find("Player", "stream_id", name).map(Target::Played);
        let device = || objects.find("Device", "device_id", name).map(Target::Device);
        published.or_else(played).or_else(device).ok_or_else(|| {
            let detail = format!("'{name}' is no stream that is published or played here, and no device");
            Failure::refused(1_004_011, &detail)
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
pub async fn mute(daemon: &Daemon, options: &Mute, output: Output) -> Result<(), Failure> {
    let Mute { target: name, video, channel, .. } = options;
    let (muted, video) = (options.state == Switch::On, *video);
    let objects = daemon.objects().await?;
    match (Target::find(name, &objects)?, video) {
        (Target::Microphone, false) => daemon.engine.mute_microphone(muted).await?,
        (Target::Speaker, false) => daemon.engine.mute_speaker(muted).await?,
        (Target::Camera, _) => daemon.engine.enable_camera(!muted, *channel).await?,
        (Target::Device(object), false) => proxy!(DeviceProxy, daemon, object).set_muted(muted).await?,
        (Target::Microphone | Target::Speaker | Target::Device(_), true) => {
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

/// Sets a volume. The microphone's is that of everything that is published, the speaker's of everything that is played.
pub async fn volume(daemon: &Daemon, name: &str, volume: i32, output: Output) -> Result<(), Failure> {
    let objects = daemon.objects().await?;
    let everything = |kind: &'static str, code: i32| {
        let all: Vec<&Object> = objects.of(kind).collect();
        if all.is_empty() { Err(Failure::refused(code, "")) } else { Ok(all) }
    };
    let mut device = None;
    let (publishers, players) = match Target::find(name, &objects)? {
        Target::Microphone => (everything("Publisher", 1_003_001)?, Vec::new()),
        Target::Speaker => (Vec::new(), everything("Player", 1_004_011)?),
        Target::Camera => return Err(Failure::Usage("a camera has no volume".to_string())),
        Target::Published(object) => (vec![object], Vec::new()),
        Target::Played(object) => (Vec::new(), vec![object]),
        Target::Device(object) => {
            device = Some(object);
            (Vec::new(), Vec::new())
        }
    };
    if let Some(device) = device {
        proxy!(DeviceProxy, daemon, device).set_volume(volume).await?;
    }
    for publisher in publishers {
        proxy!(PublisherProxy, daemon, publisher).set_capture_volume(volume).await?;
    }
    for player in players {
        proxy!(PlayerProxy, daemon, player).set_volume(volume).await?;
    }
    output.answer(&json!({"target": name, "volume": volume}), || format!("The volume of {name} is {volume}."))
}
