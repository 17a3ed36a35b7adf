//! The configuration: `/etc/zegod/zegod.toml`, then every `zegod.toml.d/*.toml` beside it in the order of their names,
//! or the one file that `--config` names.
//!
//! A key that nobody knows or a value that cannot be is an error that names file, line and key and what is allowed:
//! a device that silently ignores its configuration is one that somebody has to drive to.

mod file;
mod words;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use zego_protocol::discovery::AUTO;
use zego_protocol::fingerprint::Fingerprint;

pub use file::ConfigError;
pub use words::{CameraWord, IceServerEntry, LogLevel, MicrophoneWord, Scenario, SpeakerWord};

/// Where the configuration is when `--config` does not say.
pub const DEFAULT_PATH: &str = "/etc/zegod/zegod.toml";

/// The whole configuration; a file that is empty gives [`Config::default`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who the device is to the service.
    pub engine: EngineSection,
    /// How rooms are reached.
    pub room: RoomSection,
    /// Where pictures come from.
    pub camera: CameraSection,
    /// Where sound comes from.
    pub microphone: MicrophoneSection,
    /// Where sound goes to.
    pub speaker: SpeakerSection,
    /// How pictures are encoded.
    pub video: VideoSection,
    /// How sound is encoded and processed.
    pub audio: AudioSection,
    /// How media finds its way.
    pub network: NetworkSection,
    /// What is logged.
    pub log: LogSection,
}

/// `[engine]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSection {
    /// The AppID, the API key of the rooms; 0 = not set, then tokens are not compared with it.
    pub app_id: u32,
    /// The scenario that an engine without a profile starts with.
    pub scenario: Scenario,
}

/// `[room]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoomSection {
    /// The room server for logins that name none: a `ws://` or `wss://` URL, or `auto`, which finds one on the LAN; empty = every
    /// login names one.
    pub server: String,
    /// PEM file of the authorities that count for `wss://` servers; empty = the system's.
    pub authority: PathBuf,
    /// The certificate of a `wss://` server, or of its authority; an empty text is none.
    #[serde(deserialize_with = "words::fingerprint_or_none")]
    pub fingerprint: Option<Fingerprint>,
    /// How long a lost connection is tried again, in seconds.
    pub retry_time_s: u32,
}

impl Default for RoomSection {
    fn default() -> Self {
        Self {
            server: "ws://127.0.0.1:7880".to_owned(),
            authority: PathBuf::new(),
            fingerprint: None,
            retry_time_s: 1200,
        }
    }
}

/// `[camera]`: width, height and fps that are not given are the scenario's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CameraSection {
    /// The camera of the main channel.
    pub source: CameraWord,
    /// Width that the camera is asked for, in pixels.
    pub width: Option<u32>,
    /// Height that the camera is asked for, in pixels.
    pub height: Option<u32>,
    /// Pictures per second that the camera is asked for.
    pub fps: Option<u32>,
    /// Further cameras: those of the channels 1, 2 and 3, and devices to choose from.
    pub more: Vec<CameraWord>,
}

/// `[microphone]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MicrophoneSection {
    /// The microphone of every channel that was given no other.
    pub source: MicrophoneWord,
    /// Further microphones to choose from.
    pub more: Vec<MicrophoneWord>,
}

/// `[speaker]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpeakerSection {
    /// Where the mixed voices go.
    pub sink: SpeakerWord,
    /// Further speakers to choose from.
    pub more: Vec<SpeakerWord>,
}

/// `[video]`: width, height and fps that are not given are the camera's, the bit rate is the scenario's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VideoSection {
    /// Bit rate of the encoder in kbit/s.
    pub bitrate_kbps: Option<u32>,
    /// Width of the encoded picture in pixels, even.
    pub width: Option<u32>,
    /// Height of the encoded picture in pixels, even.
    pub height: Option<u32>,
    /// Encoded pictures per second.
    pub fps: Option<u32>,
    /// Seconds between key frames that nobody asked for.
    pub key_frame_interval_s: u32,
}

impl Default for VideoSection {
    fn default() -> Self {
        Self { bitrate_kbps: None, width: None, height: None, fps: None, key_frame_interval_s: 2 }
    }
}

/// `[audio]`: a bit rate that is not given is the scenario's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AudioSection {
    /// Bit rate of the encoder in kbit/s.
    pub bitrate_kbps: Option<u32>,
    /// Whether what the speaker plays is taken out of what the microphone hears.
    pub echo_cancellation: bool,
    /// Whether steady noise is taken out.
    pub noise_suppression: bool,
    /// Whether the level is kept even.
    pub gain_control: bool,
}

/// `[network]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkSection {
    /// STUN and TURN servers beside those that the room server names.
    pub ice_servers: Vec<IceServerEntry>,
    /// Network interfaces that media may use; empty = all that are not loopback.
    pub interfaces: Vec<String>,
}

/// `[log]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// The least important thing that is logged.
    pub level: LogLevel,
}

impl Config {
    /// Reads the configuration that `--config` names, or the system's.
    ///
    /// A file that was named must be there; without the system's file every key has its default.
    ///
    /// # Errors
    /// [`ConfigError`], with file, line and key.
    pub fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        match named {
            Some(path) => Self::load_files(&[path.to_owned()]),
            None => Self::load_files(&system_files(Path::new(DEFAULT_PATH))?),
        }
    }

    /// Reads several files; a key of a later one goes before that of an earlier one.
    ///
    /// # Errors
    /// [`ConfigError`], with file, line and key.
    pub fn load_files(paths: &[PathBuf]) -> Result<Self, ConfigError> {
        let mut merged = toml::Table::new();
        for path in paths {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
            file::merge(&mut merged, file::parse(path, &text)?);
        }
        Self::deserialize(merged).map_err(|error| ConfigError::Merged(error.message().to_owned()))
    }

    /// What serde cannot see: numbers out of range and texts of the wrong form. Gives section, key and complaint.
    fn faults(&self) -> Vec<(&'static str, &'static str, String)> {
        let mut faults = Vec::new();
        let mut range = |section, key, value: u32, low: u32, high: u32| {
            if !(low..=high).contains(&value) {
                faults.push((section, key, format!("{value} is out of range; allowed are {low} to {high}")));
            }
        };
        range("camera", "width", self.camera.width.unwrap_or(16), 16, 4096);
        range("camera", "height", self.camera.height.unwrap_or(16), 16, 4096);
        range("camera", "fps", self.camera.fps.unwrap_or(1), 1, 120);
        range("video", "bitrate_kbps", self.video.bitrate_kbps.unwrap_or(10), 10, 50_000);
        range("video", "width", self.video.width.unwrap_or(16), 16, 4096);
        range("video", "height", self.video.height.unwrap_or(16), 16, 4096);
        range("video", "fps", self.video.fps.unwrap_or(1), 1, 120);
        range("video", "key_frame_interval_s", self.video.key_frame_interval_s, 1, 60);
        range("audio", "bitrate_kbps", self.audio.bitrate_kbps.unwrap_or(6), 6, 510);
        range("room", "retry_time_s", self.room.retry_time_s, 0, 86_400);
        let sizes = [
            ("camera", "width", self.camera.width),
            ("camera", "height", self.camera.height),
            ("video", "width", self.video.width),
            ("video", "height", self.video.height),
        ];
        for (section, key, value) in sizes {
            if value.is_some_and(|value| value % 2 != 0) {
                faults.push((section, key, "must be even".to_owned()));
            }
        }
        // An empty one means that every login names its own.
        if !self.room.server.is_empty() && !is_room_server(&self.room.server) {
            let text =
                format!("\"{}\" is not a room server; allowed are a ws:// or wss:// URL and auto", self.room.server);
            faults.push(("room", "server", text));
        }
        faults
    }
}

/// Whether `url` may be a room server: `auto`, or `ws://HOST` or `wss://HOST`, maybe with port and path.
#[must_use]
pub fn is_room_server(url: &str) -> bool {
    if url == AUTO {
        return true;
    }
    let rest = url.strip_prefix("ws://").or_else(|| url.strip_prefix("wss://"));
    rest.is_some_and(|rest| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or("");
        let port_is_fine = match host.rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => port.parse::<u16>().is_ok_and(|port| port != 0),
            _ => true,
        };
        !host.is_empty() && !host.starts_with(':') && port_is_fine && !url.contains(char::is_whitespace)
    })
}

/// The system's file, if it is there, and the pieces in its `.d` folder.
fn system_files(main: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut files = Vec::new();
    if main.exists() {
        files.push(main.to_owned());
    }
    let mut folder = main.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    match std::fs::read_dir(&folder) {
        Ok(entries) => {
            let mut pieces: Vec<PathBuf> = entries
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
                .collect();
            pieces.sort();
            files.extend(pieces);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(ConfigError::Unreadable { path: folder, source }),
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn load(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "zegod.toml", text);
        Config::load(Some(&path)).map_err(|error| {
            let text = error.to_string();
            text.replace(&format!("{}", folder.path().display()), "")
        })
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        assert_eq!(load("").unwrap(), Config::default());
    }

    #[test]
    fn every_key_is_known() {
        let config = load(
            r#"
            [engine]
            app_id = 1234567890
            scenario = "high_quality_video_call"
            [room]
            server = "wss://rooms.example.org/sub"
            authority = "/etc/zegod/authority.pem"
            fingerprint = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            retry_time_s = 30
            [camera]
            source = "pattern"
            width = 1280
            height = 720
            fps = 25
            more = ["pattern:2", "v4l2:/dev/video0", "file:/tmp/a.y4m", "none"]
            [microphone]
            source = "tone"
            more = ["tone:2", "alsa:hw:1,0", "file:/tmp/a.wav"]
            [speaker]
            sink = "file:/tmp/out.wav"
            more = ["null", "alsa:default"]
            [video]
            bitrate_kbps = 900
            width = 640
            height = 360
            fps = 15
            key_frame_interval_s = 4
            [audio]
            bitrate_kbps = 32
            echo_cancellation = true
            noise_suppression = true
            gain_control = true
            [network]
            ice_servers = ["stun:stun.example.org:3478", { urls = ["turn:turn.example.org"], username = "u", credential = "c" }]
            interfaces = ["lo"]
            [log]
            level = "debug"
            "#,
        )
        .unwrap();
        assert_eq!(config.engine.app_id, 1_234_567_890);
        assert_eq!(config.engine.scenario.number(), 5);
        assert_eq!(config.room.fingerprint, Some(Fingerprint::of(b"")));
        assert_eq!(config.camera.more.len(), 4);
        assert_eq!(config.video.height, Some(360));
        assert_eq!(config.network.ice_servers[1].username, "u");
        assert_eq!(config.log.level.filter(), log::LevelFilter::Debug);
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_line_and_key() {
        let table: &[(&str, &[&str])] = &[
            ("[camera]\nsorce = \"pattern\"\n", &["zegod.toml:2", "sorce", "did you mean `source`?", "`more`"]),
            ("[cameras]\n", &["zegod.toml:1", "cameras", "did you mean `camera`?"]),
            ("[camera]\n\nwidth = \"wide\"\n", &["zegod.toml:3", "[camera] width", "invalid type"]),
            ("[camera]\nwidth = 641\n", &["zegod.toml:2", "[camera] width", "must be even"]),
            ("[camera]\nfps = 0\n", &["zegod.toml:2", "[camera] fps", "1 to 120"]),
            ("[camera]\nsource = \"webcam\"\n", &["zegod.toml:2", "[camera] source", "webcam", "v4l2:ID"]),
            ("[camera]\nmore = [\"pattern\", \"tone\"]\n", &["zegod.toml:2", "[camera] more", "tone", "v4l2:ID"]),
            ("[microphone]\nsource = \"pattern\"\n", &["zegod.toml:2", "[microphone] source", "alsa:NAME"]),
            ("[speaker]\nsink = \"alsa\"\n", &["zegod.toml:2", "[speaker] sink", "alsa:NAME"]),
            ("[room]\nserver = \"http://here\"\n", &["zegod.toml:2", "[room] server", "ws://"]),
            ("[room]\nfingerprint = \"sha256:00\"\n", &["zegod.toml:2", "[room] fingerprint", "64 hexadecimal digits"]),
            ("[engine]\nscenario = \"party\"\n", &["zegod.toml:2", "[engine] scenario", "broadcast"]),
            ("[engine]\napp_id = -1\n", &["zegod.toml:2", "[engine] app_id"]),
            ("[log]\nlevel = \"loud\"\n", &["zegod.toml:2", "[log] level", "warn"]),
            ("[network]\nice_servers = [\"here\"]\n", &["zegod.toml:2", "[network] ice_servers", "stun:"]),
            ("[video\n", &["zegod.toml:1"]),
            ("[video]\nbitrate_kbps = 1\nbitrate_kbps = 2\n", &["zegod.toml:3", "bitrate_kbps"]),
        ];
        for (text, expected) in table {
            let error = load(text).unwrap_err();
            for part in *expected {
                assert!(error.contains(part), "{text:?} gave {error:?}, without {part:?}");
            }
            assert!(!error.contains('\n'), "{error:?} has more than one line");
        }
    }

    #[test]
    fn pieces_of_the_folder_go_before_the_main_file() {
        let folder = tempfile::tempdir().unwrap();
        let main = write(folder.path(), "zegod.toml", "[camera]\nsource = \"pattern\"\nfps = 10\n");
        write(folder.path(), "zegod.toml.d/20.toml", "[camera]\nfps = 20\n");
        write(folder.path(), "zegod.toml.d/10.toml", "[camera]\nfps = 15\nwidth = 320\n");
        write(folder.path(), "zegod.toml.d/README", "not a piece");
        let config = Config::load_files(&system_files(&main).unwrap()).unwrap();
        assert_eq!(
            (config.camera.source.as_str(), config.camera.fps, config.camera.width),
            ("pattern", Some(20), Some(320))
        );
    }

    #[test]
    fn without_files_the_system_has_defaults_but_a_named_file_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("zegod.toml");
        assert_eq!(Config::load_files(&system_files(&missing).unwrap()).unwrap(), Config::default());
        let error = Config::load(Some(&missing)).unwrap_err().to_string();
        assert!(error.contains("zegod.toml"), "{error}");
    }

    #[test]
    fn room_servers_are_websocket_urls() {
        for good in ["ws://127.0.0.1:7880", "wss://a.b/c", "ws://[::1]:7880", "ws://[::1]", "ws://host"] {
            assert!(is_room_server(good), "{good}");
        }
        for bad in ["", "ws://", "http://a", "ws://:7880", "ws://a:0", "ws://a:99999", "ws://a b", "wss:/a", "ws:///x"]
        {
            assert!(!is_room_server(bad), "{bad}");
        }
    }
}
