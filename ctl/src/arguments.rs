//! What can be said on the command line.

mod settings;
#[cfg(test)]
mod tests;
mod view;

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use settings::{AudioConfig, CreateEngine, Layer, Levels, VideoConfig};
pub use view::{Canvas, ViewTarget};

const AFTER: &str = "\
Exit status: 0 done, 1 refused (name, code and reason on stderr), 2 wrong usage, 3 the daemon is not there.
Examples:
  zegoctl token --app-id 1234567890 --secret SECRET --user door --room lobby
  zegoctl login lobby --user door --token TOKEN
  zegoctl publish door-cam
  zegoctl play desk-cam --view pipe:/tmp/desk.y4m
  zegoctl monitor --json";

/// Where the options that every command has stand in its help: behind its own.
const LAST: usize = 900;

/// Control zegod, the daemon that puts this device into real-time audio and video rooms.
#[derive(Debug, Parser)]
#[command(name = "zegoctl", version, after_help = AFTER, max_term_width = 100, disable_help_subcommand = true)]
pub struct Arguments {
    /// The bus: system, session or a D-Bus address.
    #[arg(long, global = true, value_name = "BUS", default_value = "system", display_order = LAST)]
    pub bus: BusChoice,
    /// Print JSON: one object, or one a line for streams of events.
    #[arg(long, global = true, display_order = LAST)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which bus zegod is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusChoice {
    /// The system bus.
    System,
    /// The login session's bus.
    Session,
    /// A bus at an address.
    Address(String),
}

impl FromStr for BusChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<BusChoice, String> {
        match text {
            "system" => Ok(BusChoice::System),
            "session" => Ok(BusChoice::Session),
            address if address.contains(':') => Ok(BusChoice::Address(address.to_string())),
            _ => Err("neither system nor session nor a D-Bus address such as unix:path=/run/bus".to_string()),
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the engine, its rooms, and what is published and played.
    Status,
    /// Make the engine with settings of its own; the first command that needs it makes it from the configuration.
    CreateEngine(CreateEngine),
    /// Leave every room, release every device and free every view.
    DestroyEngine,
    /// Log in to a room.
    Login(Login),
    /// Log out of a room, or of all.
    Logout {
        /// The room; all of them when left out.
        room: Option<String>,
    },
    /// Leave a room for another one, as the same user; the preview goes on.
    Switch {
        /// The room that is left.
        from: String,
        /// The room that is entered.
        to: String,
        /// The token for the new room, as for `login`.
        #[arg(long)]
        token: Option<String>,
        /// The new room's server, ws:// or wss://, or auto; the old room's when left out.
        #[arg(long, value_name = "URL")]
        server: Option<String>,
        /// Do not wait for the outcome.
        #[arg(long)]
        no_wait: bool,
    },
    /// Give a room a new token, before the old one expires.
    RenewToken {
        /// The room.
        room: String,
        /// The token, as for `login`.
        #[arg(long)]
        token: Option<String>,
    },
    /// Set the extra information of a room: one key with a value, for everybody there.
    ExtraInfo {
        /// The room.
        room: String,
        /// The key, under 128 bytes.
        key: String,
        /// The value, up to 128 bytes.
        value: String,
    },
    /// Set the extra information of a stream that is published here.
    StreamInfo {
        /// The stream.
        stream: String,
        /// The text, under 1024 bytes.
        text: String,
    },
    /// List the other people in the rooms.
    Users {
        /// Only this room's.
        room: Option<String>,
    },
    /// List the streams of other people in the rooms.
    Streams {
        /// Only this room's.
        room: Option<String>,
    },
    /// Publish camera and microphone as a stream.
    Publish(Publish),
    /// Stop publishing.
    Unpublish {
        /// The stream; the main channel's when left out.
        stream: Option<String>,
    },
    /// Play a stream; one that is not there yet is waited for.
    Play(Play),
    /// Stop playing a stream.
    Stop {
        /// The stream.
        stream: String,
    },
    /// Show the own camera's picture.
    Preview(Preview),
    /// Set how pictures are captured and encoded.
    VideoConfig(VideoConfig),
    /// Set how sound is encoded.
    AudioConfig(AudioConfig),
    /// Choose between the sizes of a played stream, if its publisher sends several.
    Layer {
        /// The stream.
        stream: String,
        /// The size.
        layer: Layer,
    },
    /// Mute or unmute microphone, speaker, camera, a stream or a device.
    Mute(Mute),
    /// Set the volume of microphone, speaker, a stream or a device.
    Volume {
        /// microphone or mic (all that is published), speaker (all that is played), the id of a published or played
        /// stream, or that of a device (its own control, up to 100).
        target: String,
        /// 0 (silent) to 200; 100 is as it comes.
        #[arg(value_parser = clap::value_parser!(i32).range(0..=200))]
        volume: i32,
    },
    /// List cameras, microphones and speakers.
    Devices,
    /// Use another camera, microphone or speaker, also mid-call.
    Use {
        /// Its id, as `zegoctl devices` shows it.
        device_id: String,
        /// The publish channel.
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..=3))]
        channel: i32,
    },
    /// Send a message to everybody in a room, or a command to some.
    Message {
        /// The room.
        room: String,
        /// The text, up to 1024 bytes.
        text: String,
        /// Only to this user, as a custom command; may be repeated.
        #[arg(long, value_name = "USER")]
        to: Vec<String>,
        /// As a barrage message, which may get lost.
        #[arg(long, conflicts_with = "to")]
        barrage: bool,
    },
    /// Save a picture of a stream, or of the own camera.
    Snapshot(Snapshot),
    /// Record a stream, or what is captured, until Ctrl-C.
    Record(Record),
    /// Show how publishing and playing go.
    Stats {
        /// Again every second, until Ctrl-C.
        #[arg(long)]
        watch: bool,
    },
    /// Print how loud the microphone and each played stream are, until Ctrl-C.
    Levels(Levels),
    /// Print every signal as it happens, until Ctrl-C.
    Monitor,
    /// Show what a bug report needs; no secrets.
    Diagnostics,
    /// Find out why this device does not work.
    Doctor(Doctor),
    /// List the room servers (zegohub) on this LAN. Needs no daemon.
    Find {
        /// Look for so long.
        #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
        seconds: u64,
    },
    /// Make a token. Needs no daemon.
    Token(Token),
    /// Say what an error code means. Needs no daemon.
    Explain {
        /// The code, as at the end of an error message; or an error's name or key.
        code: String,
    },
    /// Print completions for a shell. Needs no daemon.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// `login`.
#[derive(Debug, Args)]
pub struct Login {
    /// The room.
    pub room: String,
    /// Who logs in: a user id that nobody else uses.
    #[arg(long, value_name = "ID")]
    pub user: String,
    /// The name that others see; the user id when left out.
    #[arg(long)]
    pub name: Option<String>,
    /// The token, or - to read it from standard input. From ZEGO_TOKEN when left out; `zegoctl token` makes one.
    #[arg(long)]
    pub token: Option<String>,
    /// The room server, ws:// or wss://, or auto: one on this LAN; from zegod's configuration when left out.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// Most people in the room, if nobody is there yet (zegohub); 0 = no limit.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_members: u32,
    /// Do not wait for the outcome; zegod goes on trying, and `zegoctl status` shows it.
    #[arg(long)]
    pub no_wait: bool,
}

/// `publish`.
#[derive(Debug, Args)]
pub struct Publish {
    /// The stream's id, which nobody else uses: letters, digits, - and _.
    pub stream: String,
    /// The room; needed only with several.
    #[arg(long)]
    pub room: Option<String>,
    /// A WHIP endpoint, http:// or https://, in the place of a room.
    #[arg(long, value_name = "URL", conflicts_with = "room")]
    pub whip_url: Option<String>,
    /// The endpoint's token, or - to read it from standard input.
    #[arg(long, value_name = "TOKEN", requires = "whip_url")]
    pub whip_token: Option<String>,
    /// The publish channel.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..=3))]
    pub channel: i32,
    /// Sound without picture.
    #[arg(long, conflicts_with = "video_only")]
    pub audio_only: bool,
    /// Picture without sound.
    #[arg(long)]
    pub video_only: bool,
    /// A text that the others in the room see with the stream, under 1024 bytes; `stream-info` changes it.
    #[arg(long, value_name = "TEXT", conflicts_with = "whip_url")]
    pub info: Option<String>,
}

/// `play`.
#[derive(Debug, Args)]
pub struct Play {
    /// The stream.
    pub stream: String,
    /// The room; needed only with several.
    #[arg(long)]
    pub room: Option<String>,
    /// A WHEP endpoint, http:// or https://, in the place of a room.
    #[arg(long, value_name = "URL", conflicts_with = "room")]
    pub whep_url: Option<String>,
    /// The endpoint's token, or - to read it from standard input.
    #[arg(long, value_name = "TOKEN", requires = "whep_url")]
    pub whep_token: Option<String>,
    /// Sound without picture.
    #[arg(long, conflicts_with_all = ["video_only", "view"])]
    pub audio_only: bool,
    /// Picture without sound.
    #[arg(long)]
    pub video_only: bool,
    /// Where the picture goes.
    #[command(flatten)]
    pub canvas: Canvas,
    /// Exchange left and right.
    #[arg(long)]
    pub mirror: bool,
}

/// `preview`.
#[derive(Debug, Args)]
pub struct Preview {
    /// Where the picture goes.
    #[command(flatten)]
    pub canvas: Canvas,
    /// As others see it, instead of as in a mirror.
    #[arg(long)]
    pub no_mirror: bool,
    /// The publish channel.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..=3))]
    pub channel: i32,
    /// Stop the preview.
    #[arg(long, conflicts_with_all = ["view", "fit", "background", "no_mirror"])]
    pub stop: bool,
}

/// `snapshot`.
#[derive(Debug, Args)]
#[command(override_usage = "zegoctl snapshot [OPTIONS] [STREAM] FILE")]
pub struct Snapshot {
    /// The file, .png, .jpg or .jpeg, or - for standard output (PNG). Before it the stream, played or published here; the own
    /// camera when left out.
    #[arg(value_name = "[STREAM] FILE", num_args = 1..=2, required_unless_present = "output")]
    pub words: Vec<OsString>,
    /// The same as FILE.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `record`.
#[derive(Debug, Args)]
#[command(override_usage = "zegoctl record [OPTIONS] [STREAM] FILE")]
pub struct Record {
    /// The file, an MP4, or - for standard output. Before it the stream, played or published here; what is captured when left
    /// out.
    #[arg(value_name = "[STREAM] FILE", num_args = 1..=2, required_unless_present = "output")]
    pub words: Vec<OsString>,
    /// The same as FILE, with any ending.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// End after so long.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: Option<u64>,
    /// Sound without picture.
    #[arg(long, conflicts_with = "video_only")]
    pub audio_only: bool,
    /// Picture without sound.
    #[arg(long)]
    pub video_only: bool,
}

/// `on` or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// `mute`.
#[derive(Debug, Args)]
pub struct Mute {
    /// microphone (or mic), speaker, camera, or the id of a published or played stream, or of a device.
    pub target: String,
    /// on, or off to be heard or seen again.
    #[arg(value_enum, default_value = "on", hide_possible_values = true)]
    pub state: Switch,
    /// Of a stream: its picture instead of its sound.
    #[arg(long)]
    pub video: bool,
    /// Of the camera: the publish channel whose camera is released.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..=3))]
    pub channel: i32,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Look at this room server, ws:// or wss://, or auto, instead of the one that zegod uses.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// Look at this token, too; from ZEGO_TOKEN when left out.
    #[arg(long)]
    pub token: Option<String>,
    /// Whom the token is to let in.
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// Into which room.
    #[arg(long)]
    pub room: Option<String>,
}

/// `token`.
#[derive(Debug, Args)]
pub struct Token {
    /// The AppID (API key).
    #[arg(long, value_name = "N")]
    pub app_id: String,
    /// Its ServerSecret (API secret); from ZEGO_SECRET when left out, which other users of this machine cannot see.
    #[arg(long, value_name = "S")]
    pub secret: Option<String>,
    /// Whom it lets in.
    #[arg(long, value_name = "ID")]
    pub user: String,
    /// Into which room; any when left out (token04 only).
    #[arg(long)]
    pub room: Option<String>,
    /// The name that others see (livekit only); the user id when left out.
    #[arg(long)]
    pub name: Option<String>,
    /// How long it is good for.
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(u64).range(1..))]
    pub ttl: u64,
    /// Let its user watch and listen, not publish.
    #[arg(long)]
    pub no_publish: bool,
    /// Let its user publish only this stream; may be repeated (token04 only).
    #[arg(long, value_name = "ID")]
    pub stream: Vec<String>,
    /// ZEGO's token04 (for zegohub), or a LiveKit access token (for zegohub and livekit-server).
    #[arg(long, value_enum, default_value_t = Kind::Token04)]
    pub kind: Kind,
}

/// The kinds of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// ZEGO's token04, AES-GCM variant.
    Token04,
    /// LiveKit's access token.
    Livekit,
}
