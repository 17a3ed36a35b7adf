//! Plays a clip as a camera would: each frame is stamped with its number and the time when it is handed over, and one
//! that the reader was not ready for in its slot is dropped, not queued.
//!
//! Writes Y4M to OUTPUT, a FIFO or a file (`-` = standard output); opening a FIFO waits for its reader. Log: a line
//! `NUMBER TIME` (nanoseconds of CLOCK_MONOTONIC) for each frame that was handed over. Ends with its reader.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use clap::Parser;
use zego_tools::bar::Bar;
use zego_tools::clip::Clip;
use zego_tools::{clock, y4m};

/// Plays a Y4M clip in real time, with a bar on each frame.
#[derive(Parser)]
struct Arguments {
    /// The clip.
    clip: PathBuf,
    /// Where it plays: a FIFO, or `-`.
    output: PathBuf,
    /// Where the lines about handed over frames go.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Frames per second; the clip's own otherwise.
    #[arg(long)]
    fps: Option<f64>,
    /// Stop after this many seconds.
    #[arg(long)]
    seconds: Option<f64>,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let clip = Clip::open(&arguments.clip)?;
    let mut log = arguments.log.as_ref().map(File::create).transpose()?;
    let stdout = arguments.output.as_os_str() == "-";
    let output = if stdout { File::from(io::stdout().as_fd().try_clone_to_owned()?) } else { open_fifo(&arguments)? };
    // A frame must fit, or the reader's timing becomes ours; a smaller limit of the system is fine.
    let _ = rustix::pipe::fcntl_setpipe_size(output.as_fd(), 1 << 20);
    let (frames, seconds) = clip.header().rate;
    let fps = arguments.fps.unwrap_or(f64::from(frames) / f64::from(seconds));
    match play(&clip, output, fps, arguments.seconds, log.as_mut()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn open_fifo(arguments: &Arguments) -> io::Result<File> {
    File::options().write(true).open(&arguments.output)
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // frames of minutes
fn play(clip: &Clip, output: File, fps: f64, seconds: Option<f64>, mut log: Option<&mut File>) -> io::Result<()> {
    let header = *clip.header();
    let mut writer = y4m::Writer::new(output, &header)?;
    let mut frame = Vec::new();
    let begin = clock::now();
    let due = |number: u64| begin + (number as f64 * 1e9 / fps) as u64;
    let end = seconds.map_or(u64::MAX, |seconds| (seconds * fps) as u64);
    let mut number = 0;
    while number < end {
        clip.read(number, &mut frame)?;
        clock::sleep_until(due(number));
        let made = clock::now();
        Bar::new(number, made).stamp(&mut frame, header.width, header.height);
        writer.write(&[&frame])?;
        if let Some(log) = &mut log {
            log.write_all(format!("{number} {made}\n").as_bytes())?;
        }
        let slot = ((clock::now() - begin) as f64 * fps / 1e9) as u64;
        number = (number + 1).max(slot);
    }
    Ok(())
}
