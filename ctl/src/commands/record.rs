//! `snapshot`, `record`: pictures and recordings into files of ours.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use zbus::{Fd, Variant};
use zego_protocol::state::ZegoDataRecordState;

use super::ended;
use crate::arguments::{Record, Snapshot};
use crate::bus::Daemon;
use crate::failure::Failure;
use crate::output::Output;
use crate::value::{properties, text};

/// Takes a picture of a stream, or of the own camera, into a file.
pub async fn snapshot(daemon: &Daemon, options: Snapshot, output: Output) -> Result<(), Failure> {
    let (stream, path) = stream_and_file(options.words, options.output)?;
    let format = format_of(&path)?;
    let image = daemon.engine.take_snapshot(&stream, HashMap::from([("format", Variant::new(format))])).await?;
    let mut image = File::from(std::os::fd::OwnedFd::from(image));
    let mut file = open(&path, false)?;
    let size = io::copy(&mut image, &mut file).and_then(|size| file.flush().map(|()| size));
    let size = size.map_err(|error| unwritten(&path, &error))?;
    if is_standard_output(&path) {
        return Ok(());
    }
    let path = path.display().to_string();
    output.answer(&json!({"stream_id": stream, "file": path, "format": format, "size": size}), || {
        format!("The picture is in {path}: {size} bytes.")
    })
}

/// Records a stream, or what is captured, into a file, until Ctrl-C or for some seconds.
pub async fn record(daemon: &Daemon, options: Record, output: Output) -> Result<(), Failure> {
    let named = options.output.is_some();
    let (stream, path) = stream_and_file(options.words, options.output)?;
    if !named {
        check_movie(&path)?;
    }
    let mut updates = daemon.engine.receive_recording_state_update().await?;
    let file = open(&path, true)?;
    let mut wishes = HashMap::new();
    if options.audio_only {
        wishes.insert("video", Variant::new(false));
    }
    if options.video_only {
        wishes.insert("audio", Variant::new(false));
    }
    daemon.engine.start_recording(&stream, Fd::from(file.as_fd()), wishes).await?;
    let whose = if stream.is_empty() { "what is captured".to_string() } else { format!("stream {stream}") };
    output.remark(&format!("Recording {whose} to {}; Ctrl-C ends it.", path.display()));
    // The last news of it: code and what was recorded.
    let news = async {
        while let Some(update) = updates.next().await {
            let Ok(arguments) = update.args() else { continue };
            if *arguments.stream_id() == stream && *arguments.state() != ZegoDataRecordState::Recording.number() {
                let more = properties(arguments.extended_data());
                let number = |key| more.get(key).and_then(Value::as_u64).unwrap_or(0);
                let done = Done { duration_ms: number("duration_ms"), size: number("size") };
                return Some((*arguments.error_code(), text(&more, "message"), done));
            }
        }
        None
    };
    let mut news = std::pin::pin!(news);
    let time = async {
        match options.seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    let early = tokio::select! {
        outcome = ended() => {
            outcome?;
            None
        }
        () = time => None,
        news = &mut news => Some(news),
    };
    let last = match early {
        Some(news) => news,
        None => {
            daemon.engine.stop_recording(&stream).await?;
            news.await
        }
    };
    let Some((code, message, done)) = last else { return Err(Failure::NoDaemon("the bus is gone".to_string())) };
    if code != 0 {
        return Err(Failure::refused(code, &message));
    }
    if is_standard_output(&path) {
        output.remark(&done.line(&path));
        return Ok(());
    }
    output.answer(&done.json(&stream, &path), || done.line(&path))
}

/// A recording that is complete.
struct Done {
    duration_ms: u64,
    size: u64,
}

impl Done {
    fn json(&self, stream: &str, path: &Path) -> Value {
        json!({
            "stream_id": stream, "file": path.display().to_string(), "duration_ms": self.duration_ms, "size": self.size,
        })
    }

    fn line(&self, path: &Path) -> String {
        let seconds = self.duration_ms as f64 / 1000.0;
        format!("The recording is in {}: {seconds:.1} s, {} bytes.", path.display(), self.size)
    }
}

/// Which stream (the empty one is what is captured) and which file: `[STREAM] FILE`, or `[STREAM] --output FILE`.
fn stream_and_file(words: Vec<OsString>, output: Option<PathBuf>) -> Result<(String, PathBuf), Failure> {
    let mut words = words.into_iter();
    let (stream, file) = match (words.next(), words.next(), output) {
        (stream, None, Some(file)) => (stream, file),
        (Some(file), None, None) => (None, file.into()),
        (Some(stream), Some(file), None) => (Some(stream), file.into()),
        _ => return Err(Failure::Usage("give one stream and one file; --output is a file already".to_string())),
    };
    let stream = stream.unwrap_or_default().into_string();
    let stream = stream.map_err(|id| Failure::Usage(format!("{}: no stream's id", id.display())))?;
    Ok((stream, file))
}

/// Whether a word can be meant as a recording's file: a forgotten file's name would make a file of the stream's.
fn check_movie(path: &Path) -> Result<(), Failure> {
    let is_movie = path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("mp4"));
    if is_movie || is_standard_output(path) || path.exists() && !path.is_file() {
        return Ok(());
    }
    let name = path.display();
    Err(Failure::Usage(format!(
        "{name}: a recording's file ends in .mp4; `zegoctl record {name} FILE.mp4` records a stream, --output takes any name"
    )))
}

/// The image format that a file's name asks for.
fn format_of(path: &Path) -> Result<&'static str, Failure> {
    let suffix = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    match suffix.as_deref() {
        Some("png") => Ok("png"),
        Some("jpg" | "jpeg") => Ok("jpeg"),
        _ if is_standard_output(path) => Ok("png"),
        _ => Err(Failure::Usage(format!(
            "{0}: a picture's file ends in .png, .jpg or .jpeg; `zegoctl snapshot {0} FILE.png` takes a stream's",
            path.display()
        ))),
    }
}

fn is_standard_output(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Opens the file; a recording's readable too, as some file systems want it.
fn open(path: &Path, recording: bool) -> Result<File, Failure> {
    if is_standard_output(path) {
        let own = io::stdout().as_fd().try_clone_to_owned();
        return own.map(File::from).map_err(|error| unwritten(path, &error));
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if recording {
        options.read(!path.exists() || path.is_file());
    }
    options.open(path).map_err(|error| unwritten(path, &error))
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::ReaderGone;
    }
    Failure::local(format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_s_name_says_the_format() {
        let format = |name: &str| format_of(Path::new(name)).ok();
        assert_eq!(format("a.png"), Some("png"));
        assert_eq!(format("/tmp/b.JPG"), Some("jpeg"));
        assert_eq!(format("c.d.jpeg"), Some("jpeg"));
        assert_eq!(format("-"), Some("png"));
        assert_eq!(format_of(Path::new("x.bmp")).unwrap_err().status(), 2);
        assert_eq!(format_of(Path::new("png")).unwrap_err().status(), 2);
    }

    #[test]
    fn the_last_word_is_the_file_unless_an_option_is() {
        let found = |words: &[&str], output: Option<&str>| {
            let words = words.iter().map(OsString::from).collect();
            stream_and_file(words, output.map(PathBuf::from))
                .ok()
                .map(|(stream, file)| format!("{stream}>{}", file.display()))
        };
        assert_eq!(found(&["a.png"], None).as_deref(), Some(">a.png"));
        assert_eq!(found(&["desk", "a.png"], None).as_deref(), Some("desk>a.png"));
        assert_eq!(found(&["desk"], Some("a.png")).as_deref(), Some("desk>a.png"));
        assert_eq!(found(&[], Some("a.png")).as_deref(), Some(">a.png"));
        assert_eq!(found(&["desk", "b.png"], Some("a.png")), None);
    }

    #[test]
    fn a_stream_s_id_is_not_taken_for_a_recording_s_file() {
        assert!(check_movie(Path::new("a.MP4")).is_ok() && check_movie(Path::new("-")).is_ok());
        let failure = check_movie(Path::new("desk")).unwrap_err();
        assert_eq!(failure.status(), 2);
        assert!(failure.text(false).contains("zegoctl record desk FILE.mp4"));
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let failure = open(Path::new("/nonexistent/x.mp4"), true).unwrap_err();
        assert_eq!(failure.status(), 1);
        assert!(failure.text(false).contains("/nonexistent/x.mp4"));
    }

    #[test]
    fn a_recording_is_told_by_length_and_size() {
        let done = Done { duration_ms: 12_340, size: 99 };
        assert_eq!(done.line(Path::new("a.mp4")), "The recording is in a.mp4: 12.3 s, 99 bytes.");
        assert_eq!(done.json("", Path::new("a.mp4"))["duration_ms"], 12_340);
    }
}
