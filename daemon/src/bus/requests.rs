//! Arguments of calls, checked and turned into what the engine is asked.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::time::Duration;

use zbus::{Fd, ObjectPath, OwnedFd, OwnedVariant, Variant};
use zego_protocol::names;

use super::levels::LevelOptions;
use super::options::Options;
use super::values::Dictionary;
use crate::audio::Channels;
use crate::engine::{
    AudioChoice, CanvasRequest, Diagnostic, Endpoint, EngineError, Login, PlatformTarget, Play, Profile, Publish,
    Record, VideoChoice,
};
use crate::media::snapshot::ImageFormat;
use crate::views::{Layout, TextureFormat};

/// Options of a call, as they come over the bus.
type Given = HashMap<String, OwnedVariant>;

/// CreateEngine.
pub(super) fn profile(given: Given) -> Result<Profile, EngineError> {
    let mut options = Options::new("CreateEngine", given);
    let profile = Profile {
        app_id: options.take("app_id")?,
        scenario: options.take("scenario")?,
        room_mode: options.take("room_mode")?,
    };
    options.finish()?;
    Ok(profile)
}

/// LoginRoom and SwitchRoom; and whether the room ends with the caller.
pub(super) fn login(
    call: &'static str,
    room_id: String,
    user_id: String,
    user_name: String,
    given: Given,
) -> Result<(Login, bool), EngineError> {
    let mut options = Options::new(call, given);
    let login = Login {
        room_id,
        user_id,
        user_name,
        token: options.take("token")?.unwrap_or_default(),
        server: options.take("server")?.unwrap_or_default(),
        user_notices: options.take("is_user_status_notify")?.unwrap_or(false),
        max_members: options.take("max_member_count")?.unwrap_or(0),
        wait: options.take("wait")?.unwrap_or(true),
    };
    let bind = options.take("bind_to_caller")?.unwrap_or(false);
    options.finish()?;
    Ok((login, bind))
}

/// StartPublishing; and whether the publisher ends with the caller.
pub(super) fn publish(stream_id: String, given: Given) -> Result<(Publish, bool), EngineError> {
    let mut options = Options::new("StartPublishing", given);
    let publish = Publish {
        stream_id,
        room_id: options.take("room_id")?.unwrap_or_default(),
        channel: options.take("channel")?.unwrap_or(0),
        audio: options.take("audio")?,
        video: options.take("video")?,
        extra_info: options.take("extra_info")?.unwrap_or_default(),
        endpoint: endpoint(&mut options, "whip_url", "whip_token")?,
    };
    let bind = options.take("bind_to_caller")?.unwrap_or(false);
    options.finish()?;
    Ok((publish, bind))
}

/// An endpoint in the place of a room.
fn endpoint(
    options: &mut Options,
    url_key: &'static str,
    token_key: &'static str,
) -> Result<Option<Endpoint>, EngineError> {
    let url: Option<String> = options.take(url_key)?;
    let token: Option<String> = options.take(token_key)?;
    match (url, token) {
        (Some(url), token) => Ok(Some(Endpoint { url, token: token.unwrap_or_default() })),
        (None, None) => Ok(None),
        (None, Some(_)) => {
            Err(EngineError::argument(&format!("'{token_key}' is for an endpoint; give '{url_key}', too")))
        }
    }
}

fn canvas(options: &mut Options) -> Result<CanvasRequest, EngineError> {
    Ok(CanvasRequest {
        view: options.take("view")?,
        mode: options.take("view_mode")?.unwrap_or(0),
        background: options.take("background_color")?.unwrap_or(0),
        mirror: options.take("mirror")?,
    })
}

/// StartPreview: the canvas and the channel.
pub(super) fn preview(given: Given) -> Result<(CanvasRequest, i32), EngineError> {
    let mut options = Options::new("StartPreview", given);
    let canvas = canvas(&mut options)?;
    let channel = options.take("channel")?.unwrap_or(0);
    options.finish()?;
    Ok((canvas, channel))
}

/// StartPlaying; and whether the player ends with the caller.
pub(super) fn play(stream_id: String, given: Given) -> Result<(Play, bool), EngineError> {
    let mut options = Options::new("StartPlaying", given);
    let play = Play {
        stream_id,
        room_id: options.take("room_id")?.unwrap_or_default(),
        canvas: canvas(&mut options)?,
        audio: options.take("audio")?,
        video: options.take("video")?,
        endpoint: endpoint(&mut options, "whep_url", "whep_token")?,
    };
    let bind = options.take("bind_to_caller")?.unwrap_or(false);
    options.finish()?;
    Ok((play, bind))
}

/// CreateTextureRenderer.
pub(super) fn texture(given: Given) -> Result<(TextureFormat, bool), EngineError> {
    let mut options = Options::new("CreateTextureRenderer", given);
    let format: Option<String> = options.take("format")?;
    let bind = options.take("bind_to_caller")?.unwrap_or(false);
    options.finish()?;
    let Some(format) = format else { return Ok((TextureFormat::default(), bind)) };
    let known = TextureFormat::from_fourcc(&format).ok_or_else(|| {
        EngineError::argument(&format!("format '{}' does not exist; use XR24 or YU12", format.escape_debug()))
    })?;
    Ok((known, bind))
}

/// CreatePlatformView.
pub(super) fn platform_target(given: Given) -> Result<(PlatformTarget, bool), EngineError> {
    let mut options = Options::new("CreatePlatformView", given);
    let kind: Option<String> = options.take("kind")?;
    let bind = options.take("bind_to_caller")?.unwrap_or(false);
    let target = match kind.as_deref() {
        None => return Err(EngineError::argument("CreatePlatformView needs 'kind': pipe or null")),
        Some("null") => PlatformTarget::Null,
        Some("pipe") => {
            let fd: Option<OwnedFd> = options.take("fd")?;
            let missing = || EngineError::argument("A view of kind 'pipe' needs 'fd', a descriptor to write to");
            PlatformTarget::Pipe(fd.ok_or_else(missing)?.into())
        }
        Some(kind @ ("kms" | "v4l2")) => {
            let message = format!("Views of kind '{kind}' are not in this version; use a texture, pipe or null");
            return Err(EngineError::unsupported(&message));
        }
        Some(other) => {
            let message = format!("Views of kind '{}' do not exist; use pipe or null", other.escape_debug());
            return Err(EngineError::argument(&message));
        }
    };
    options.finish()?;
    // The descriptor is the caller's.
    let bind = bind || matches!(target, PlatformTarget::Pipe(_));
    Ok((target, bind))
}

/// TakeSnapshot.
pub(super) fn snapshot(given: Given) -> Result<ImageFormat, EngineError> {
    let mut options = Options::new("TakeSnapshot", given);
    let format: Option<String> = options.take("format")?;
    options.finish()?;
    let Some(format) = format else { return Ok(ImageFormat::default()) };
    ImageFormat::from_word(&format).ok_or_else(|| {
        EngineError::argument(&format!("format '{}' does not exist; use png or jpeg", format.escape_debug()))
    })
}

/// StartRecording.
pub(super) fn record(stream_id: String, file: Fd<'_>, given: Given) -> Result<Record, EngineError> {
    let mut options = Options::new("StartRecording", given);
    let (audio, video) = (options.take("audio")?.unwrap_or(true), options.take("video")?.unwrap_or(true));
    options.finish()?;
    let descriptor = file.as_fd().try_clone_to_owned().map_err(|error| {
        EngineError::argument(&format!("StartRecording: the descriptor cannot be kept: {error}; close some files"))
    })?;
    Ok(Record { stream_id, descriptor, audio, video })
}

/// Width, height and bit rate of ZEGO's video presets, at 15 pictures per second.
const VIDEO_PRESETS: [(u32, u32, u32); 6] =
    [(320, 180, 300), (480, 270, 400), (640, 360, 600), (960, 540, 1200), (1280, 720, 1500), (1920, 1080, 3000)];
/// Bit rates of ZEGO's audio presets.
const AUDIO_PRESETS: [(u32, Channels); 5] = [
    (16, Channels::Mono),
    (48, Channels::Mono),
    (56, Channels::Stereo),
    (128, Channels::Mono),
    (192, Channels::Stereo),
];

fn preset<T: Copy>(number: i32, presets: &[T]) -> Result<T, EngineError> {
    let found = usize::try_from(number).ok().and_then(|number| presets.get(number));
    found.copied().ok_or_else(|| {
        EngineError::argument(&format!("preset {number} does not exist; use 0 to {}", presets.len() - 1))
    })
}

/// SetVideoConfig.
pub(super) fn video(given: Given) -> Result<VideoChoice, EngineError> {
    let mut options = Options::new("SetVideoConfig", given);
    let mut choice = VideoChoice::default();
    if let Some(number) = options.take("preset")? {
        let (width, height, bitrate) = preset(number, &VIDEO_PRESETS)?;
        choice = VideoChoice {
            preset: true,
            capture_width: Some(width),
            capture_height: Some(height),
            encode_width: Some(width),
            encode_height: Some(height),
            fps: Some(15),
            bitrate: Some(bitrate),
            key_frame_interval: None,
        };
    }
    let numbers: [(&'static str, &mut Option<u32>); 7] = [
        ("capture_width", &mut choice.capture_width),
        ("capture_height", &mut choice.capture_height),
        ("encode_width", &mut choice.encode_width),
        ("encode_height", &mut choice.encode_height),
        ("fps", &mut choice.fps),
        ("bitrate", &mut choice.bitrate),
        ("key_frame_interval", &mut choice.key_frame_interval),
    ];
    let mut captures_as_told = false;
    for (key, slot) in numbers {
        if let Some(number) = options.take(key)? {
            *slot = Some(number);
            captures_as_told |= key.starts_with("capture_");
        }
    }
    choice.preset &= !captures_as_told;
    let codec: Option<String> = options.take("codec")?;
    options.finish()?;
    match codec.as_deref() {
        None | Some("" | "H264" | "h264") => Ok(choice),
        Some(other) => {
            Err(EngineError::new(1_003_010, &format!("Codec '{}' cannot be encoded here", other.escape_debug())))
        }
    }
}

/// SetAudioConfig.
pub(super) fn audio(given: Given) -> Result<AudioChoice, EngineError> {
    let mut options = Options::new("SetAudioConfig", given);
    let mut choice = AudioChoice::default();
    if let Some(number) = options.take("preset")? {
        let (bitrate, channels) = preset(number, &AUDIO_PRESETS)?;
        choice = AudioChoice { bitrate: Some(bitrate), channels: Some(channels) };
    }
    if let Some(bitrate) = options.take("bitrate")? {
        choice.bitrate = Some(bitrate);
    }
    let channels: Option<u32> = options.take("channels")?;
    options.finish()?;
    match channels {
        // ZegoAudioChannel's Unknown leaves it as it is.
        None | Some(0) => {}
        Some(1) => choice.channels = Some(Channels::Mono),
        Some(2) => choice.channels = Some(Channels::Stereo),
        Some(other) => return Err(EngineError::argument(&format!("{other} channels cannot be; use 1 or 2"))),
    }
    Ok(choice)
}

/// StartSoundLevelMonitor.
pub(super) fn sound_levels(given: Given) -> Result<LevelOptions, EngineError> {
    let mut options = Options::new("StartSoundLevelMonitor", given);
    let interval: u32 = options.take("interval_ms")?.unwrap_or(100);
    let voice = options.take("vad")?.unwrap_or(false);
    options.finish()?;
    if !(100..=3000).contains(&interval) {
        let message = format!("interval_ms {interval} is out of range; use 100 to 3000");
        return Err(EngineError::new(1_006_031, &message));
    }
    Ok(LevelOptions { interval: Duration::from_millis(u64::from(interval)), voice })
}

/// The number of a device's object.
pub(super) fn device_number(path: &ObjectPath<'_>) -> Result<u64, EngineError> {
    let prefix = names::device_path(0);
    let prefix = prefix.trim_end_matches('0');
    let number = path.as_str().strip_prefix(prefix).and_then(|number| number.parse().ok());
    number.ok_or_else(|| EngineError::new(1_006_002, &format!("'{}' is no device object", path.as_str())))
}

/// OpenTexture's layout.
pub(super) fn layout(layout: &Layout) -> Dictionary {
    let numbers = [
        ("version", layout.version),
        ("slot_count", layout.slot_count),
        ("slot_size", layout.slot_size),
        ("first_slot", layout.first_slot),
        ("width", layout.width),
        ("height", layout.height),
        ("stride", layout.stride),
    ];
    let mut dictionary: Dictionary =
        numbers.into_iter().map(|(key, number)| (key.to_owned(), Variant::from(number))).collect();
    dictionary.insert("fourcc".to_owned(), layout.fourcc.into());
    dictionary
}

/// One value of GetDiagnostics.
pub(super) fn diagnostic(value: Diagnostic) -> Variant<'static> {
    match value {
        Diagnostic::Text(text) => text.into(),
        Diagnostic::Number(number) => number.into(),
        Diagnostic::List(list) => list.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(values: &[(&str, Variant<'static>)]) -> Given {
        let own = |value: &Variant<'static>| OwnedVariant::try_from(value.try_clone().unwrap()).unwrap();
        values.iter().map(|(key, value)| ((*key).to_owned(), own(value))).collect()
    }

    #[test]
    fn device_objects_have_numbers() {
        let number = |path: &'static str| device_number(&ObjectPath::try_from(path).unwrap());
        assert_eq!(number("/org/zegod1/device/12"), Ok(12));
        for wrong in ["/", "/org/zegod1/device", "/org/zegod1/view/1", "/org/zegod1/device/x", "/org/zegod1/device/1/2"]
        {
            assert_eq!(number(wrong).unwrap_err().code, 1_006_002, "{wrong}");
        }
    }

    #[test]
    fn a_preset_gives_what_single_keys_do_not() {
        let choice = video(given(&[("preset", 4_i32.into()), ("fps", 30_u32.into())])).unwrap();
        assert_eq!((choice.encode_width, choice.fps, choice.bitrate), (Some(1280), Some(30), Some(1500)));
        assert_eq!(video(given(&[("preset", 6_i32.into())])).unwrap_err().code, 1_000_017);
        assert_eq!(video(given(&[("codec", "H265".into())])).unwrap_err().code, 1_003_010);
        assert!(choice.preset && !video(given(&[("fps", 30_u32.into())])).unwrap().preset);
        assert!(!video(given(&[("preset", 4_i32.into()), ("capture_width", 640_u32.into())])).unwrap().preset);
    }

    #[test]
    fn presets_of_sound_are_mono_or_stereo_and_a_single_key_wins() {
        let presets = [(16, Channels::Mono), (48, Channels::Mono), (56, Channels::Stereo), (128, Channels::Mono)];
        for (number, (bitrate, channels)) in (0_i32..).zip(presets.into_iter().chain([(192, Channels::Stereo)])) {
            let expected = AudioChoice { bitrate: Some(bitrate), channels: Some(channels) };
            assert_eq!(audio(given(&[("preset", number.into())])), Ok(expected), "{number}");
        }
        assert_eq!(audio(given(&[("preset", 5_i32.into())])).unwrap_err().code, 1_000_017);
        for (number, channels) in [(0_u32, None), (1, Some(Channels::Mono)), (2, Some(Channels::Stereo))] {
            assert_eq!(
                audio(given(&[("channels", number.into())])),
                Ok(AudioChoice { bitrate: None, channels }),
                "{number}"
            );
        }
        assert_eq!(audio(given(&[("channels", 3_u32.into())])).unwrap_err().code, 1_000_017);
        let both = audio(given(&[("preset", 4_i32.into()), ("channels", 1_u32.into()), ("bitrate", 64_u32.into())]));
        assert_eq!(both, Ok(AudioChoice { bitrate: Some(64), channels: Some(Channels::Mono) }));
    }

    #[test]
    fn sound_levels_come_every_100_to_3000_ms() {
        let options = sound_levels(given(&[])).unwrap();
        assert_eq!(options, LevelOptions { interval: Duration::from_millis(100), voice: false });
        for (interval, code) in [(99_u32, 1_006_031), (3001, 1_006_031), (0, 1_006_031)] {
            assert_eq!(sound_levels(given(&[("interval_ms", interval.into())])).unwrap_err().code, code, "{interval}");
        }
        assert!(sound_levels(given(&[("interval_ms", 3000_u32.into()), ("vad", true.into())])).unwrap().voice);
        assert_eq!(sound_levels(given(&[("vad", 1_u32.into())])).unwrap_err().code, 1_000_017);
    }

    #[test]
    fn views_have_kinds() {
        assert!(matches!(platform_target(given(&[("kind", "null".into())])), Ok((PlatformTarget::Null, false))));
        let code = |values: &[(&str, Variant<'static>)]| platform_target(given(values)).unwrap_err().code;
        assert_eq!(code(&[]), 1_000_017);
        assert_eq!(code(&[("kind", "pipe".into())]), 1_000_017);
        assert_eq!(code(&[("kind", "kms".into())]), 1_000_006);
        assert_eq!(code(&[("kind", "hologram".into())]), 1_000_017);
        assert_eq!(code(&[("kind", "null".into()), ("fd", "x".into())]), 1_000_017);
    }

    #[test]
    fn snapshots_have_formats() {
        assert_eq!(snapshot(given(&[])), Ok(ImageFormat::Png));
        assert_eq!(snapshot(given(&[("format", "jpeg".into())])), Ok(ImageFormat::Jpeg));
        assert_eq!(snapshot(given(&[("format", "bmp".into())])).unwrap_err().code, 1_000_017);
    }

    #[test]
    fn a_stream_goes_to_a_room_or_to_an_endpoint() {
        let values = [("whip_url", "http://x".into()), ("whip_token", "t".into())];
        let (to_endpoint, _) = publish("door".to_owned(), given(&values)).unwrap();
        let endpoint = to_endpoint.endpoint.unwrap();
        assert_eq!((endpoint.url.as_str(), endpoint.token.as_str()), ("http://x", "t"));
        assert!(!format!("{endpoint:?}").contains("\"t\""), "a token is not for logs");
        let (to_room, bind) = publish("door".to_owned(), given(&[("bind_to_caller", true.into())])).unwrap();
        assert!(bind && to_room.audio.is_none() && to_room.channel == 0 && to_room.endpoint.is_none());
        let error = play("door".to_owned(), given(&[("whep_token", "t".into())])).unwrap_err();
        assert_eq!(error.code, 1_000_017);
        assert!(error.message.contains("whep_url"), "{error}");
    }
}
