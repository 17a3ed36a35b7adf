//! Makes the reference clip and sound of the tests and benchmarks; the same bytes on every machine (the clip) and at
//! every run.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Parser;
use zego_tools::bar::Bar;
use zego_tools::scene::Scene;
use zego_tools::{sound, y4m};

/// Makes reference clips and sounds.
#[derive(Parser)]
enum Arguments {
    /// A Y4M clip at 30 frames a second that loops without a jump.
    Clip {
        /// Width in pixels, even.
        width: usize,
        /// Height in pixels, even.
        height: usize,
        /// Number of frames.
        frames: u32,
        /// The file.
        output: PathBuf,
    },
    /// A WAV file of speech-like sound, 48 kHz, mono.
    Speech {
        /// Length.
        seconds: u32,
        /// The file.
        output: PathBuf,
    },
}

fn main() -> io::Result<()> {
    match Arguments::parse() {
        Arguments::Clip { width, height, frames, output } => {
            let header = y4m::Header { width, height, rate: (30, 1) };
            let file = BufWriter::with_capacity(1 << 20, File::create(output)?);
            let mut writer = y4m::Writer::new(file, &header)?;
            let scene = Scene::new(width, height, frames);
            let mut picture = vec![0; header.frame_size()];
            for number in 0..frames {
                scene.paint(number, &mut picture);
                Bar::new(u64::from(number), u64::from(number) * 33_333_333).stamp(&mut picture, width, height);
                writer.write(&[&picture])?;
            }
            Ok(())
        }
        Arguments::Speech { seconds, output } => {
            let mut file = BufWriter::new(File::create(output)?);
            sound::write_wav(&mut file, &sound::speech(seconds))?;
            file.flush()
        }
    }
}
