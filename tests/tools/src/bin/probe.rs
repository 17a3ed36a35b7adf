//! Records the frames that a view shows: of a texture view (its two descriptors, inherited) or of a Y4M stream on
//! standard input. Prints `ready`, then one line a frame into the log:
//!
//! `TIME NUMBER COUNTER LATENCY_MS CAPTURED FLASH DIFFERENCE` — times in nanoseconds of CLOCK_MONOTONIC; COUNTER and
//! LATENCY_MS are `-` when the bar is not intact, DIFFERENCE is `-` without a clip.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use zego_tools::bar::{self, Bar};
use zego_tools::clip::{self, Clip};
use zego_tools::texture::Texture;
use zego_tools::{clock, y4m};

/// Records the frames that a view shows.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    source: Source,
    /// Where the lines go.
    #[arg(long, global = true, default_value = "/dev/stdout")]
    log: PathBuf,
    /// The Y4M clip that the camera plays, to compare the pictures with.
    #[arg(long, global = true)]
    clip: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Source {
    /// A texture view.
    Texture {
        /// The inherited descriptor of its memory.
        memory: RawFd,
        /// The inherited descriptor of its eventfd.
        wakeup: RawFd,
    },
    /// A Y4M stream on standard input.
    Y4m,
}

struct Recorder {
    log: File,
    clip: Option<Clip>,
    wanted: Vec<u8>,
}

impl Recorder {
    /// Writes the line of one shown picture.
    fn note(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        let Shown { at, number, luma, width, height, captured_at } = *shown;
        let bar = Bar::read(luma, width, width);
        let difference = match (&self.clip, bar) {
            (Some(clip), Some(bar)) if (clip.header().width, clip.header().height) == (width, height) => {
                clip.read(u64::from(bar.counter), &mut self.wanted)?;
                format!("{:.1}", clip::difference(luma, width, &self.wanted, width, height))
            }
            _ => "-".to_owned(),
        };
        let (counter, latency) = match bar {
            Some(bar) => (bar.counter.to_string(), bar.age_ms(at).to_string()),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let flash = u8::from(bar::flash(luma, width, height, width));
        let line = format!("{at} {number} {counter} {latency} {captured_at} {flash} {difference}\n");
        self.log.write_all(line.as_bytes())
    }
}

/// One picture as it was shown.
struct Shown<'a> {
    at: u64,
    number: u64,
    luma: &'a [u8],
    width: usize,
    height: usize,
    captured_at: u64,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let clip = arguments.clip.as_deref().map(Clip::open).transpose()?;
    let log = File::options().append(true).create(true).open(&arguments.log)?;
    let recorder = Recorder { log, clip, wanted: Vec::new() };
    println!("ready");
    match arguments.source {
        Source::Texture { memory, wakeup } => record_texture(recorder, &inherited(memory)?, &inherited(wakeup)?),
        Source::Y4m => record_stream(recorder),
    }
}

/// Takes over a descriptor that the parent process passed.
#[allow(unsafe_code)] // the number on the command line is the only way to be given one
fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::Error::other(format!("descriptor {number} is one of the standard ones")));
    }
    // SAFETY: the parent passed the descriptor for this process to own; nothing else here uses its number. One that
    // is not open makes the first call on it fail with EBADF.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn record_texture(mut recorder: Recorder, memory: &OwnedFd, wakeup: &OwnedFd) -> io::Result<()> {
    let texture = Texture::map(memory).map_err(io::Error::other)?;
    let mut seen = texture.newest();
    let mut luma = Vec::new();
    let mut count = [0; 8];
    loop {
        // The eventfd may be non-blocking: wait for it first.
        let mut ready = [rustix::event::PollFd::from_borrowed_fd(wakeup.as_fd(), rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut ready, None)?;
        let _ = rustix::io::read(wakeup, &mut count)?;
        let newest = texture.newest();
        // A burst is read from its oldest frame that is still there.
        for number in (seen + 1).max((newest + 1).saturating_sub(texture.depth()))..=newest {
            let at = clock::now();
            let Some(info) = texture.read_luma(number, &mut luma) else { continue };
            let (width, height) = (texture.width, texture.height);
            recorder.note(&Shown { at, number, luma: &luma, width, height, captured_at: info.captured_at })?;
        }
        seen = newest;
        if texture.superseded() {
            return Ok(());
        }
    }
}

fn record_stream(mut recorder: Recorder) -> io::Result<()> {
    let stdin = io::stdin().lock();
    // Room for a frame, so that the writer waits for nobody; a smaller limit of the system is fine.
    let _ = rustix::pipe::fcntl_setpipe_size(stdin.as_fd(), 1 << 20);
    let mut reader = y4m::Reader::new(BufReader::with_capacity(1 << 16, stdin))?;
    let (width, height) = (reader.header().width, reader.header().height);
    let mut frame = Vec::new();
    let mut number = 0;
    while reader.read(&mut frame)? {
        number += 1;
        let at = clock::now();
        recorder.note(&Shown { at, number, luma: &frame[..width * height], width, height, captured_at: 0 })?;
    }
    Ok(())
}
