//! A reference clip on disk, read frame by frame.
//!
//! It is read by position and never held: a clip of hundreds of megabytes costs its reader one frame of memory.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::bar;
use crate::y4m::{FRAME, Header};

/// Side of the blocks that [`Clip::difference`] compares, in pixels.
pub const BLOCK: usize = 32;

/// An open Y4M clip whose frames have no parameters of their own.
#[derive(Debug)]
pub struct Clip {
    file: File,
    header: Header,
    first: u64,
    frames: u64,
}

impl Clip {
    /// Opens a clip.
    ///
    /// # Errors
    /// Those of the file, and `InvalidData` when it is not a 4:2:0 Y4M clip with at least one frame.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let header = Header::read(&mut BufReader::new(&file))?;
        let mut line = [0; 512];
        let read = file.read_at(&mut line, 0)?;
        let first = line[..read].iter().position(|byte| *byte == b'\n').map_or(0, |end| end as u64 + 1);
        let frames = (file.metadata()?.len() - first) / (FRAME.len() + header.frame_size()) as u64;
        if frames == 0 {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("{}: no frame in it", path.display())));
        }
        Ok(Self { file, header, first, frames })
    }

    /// Size and rate.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Number of frames.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Reads the I420 bytes of frame `number` modulo the number of frames.
    ///
    /// # Errors
    /// Those of the file.
    pub fn read(&self, number: u64, frame: &mut Vec<u8>) -> io::Result<()> {
        let size = self.header.frame_size();
        let at = self.first + number % self.frames * (FRAME.len() + size) as u64 + FRAME.len() as u64;
        frame.resize(size, 0);
        self.file.read_exact_at(frame, at)
    }
}

/// The mean luma difference in the worst block below the bar, between a shown picture and the clip's frame.
///
/// A codec spreads its loss; a picture whose reference was lost is wrong by tens of levels where something moved.
#[must_use]
pub fn difference(shown: &[u8], stride: usize, wanted: &[u8], width: usize, height: usize) -> f32 {
    let mut worst = 0;
    for top in (bar::ROWS..=height - BLOCK).step_by(BLOCK) {
        for left in (0..=width - BLOCK).step_by(BLOCK) {
            let mut sum = 0;
            for row in top..top + BLOCK {
                let (a, b) = (&shown[row * stride + left..][..BLOCK], &wanted[row * width + left..][..BLOCK]);
                sum += a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
            }
            worst = worst.max(sum);
        }
    }
    #[allow(clippy::cast_precision_loss)] // at most 255 * 1024
    let mean = worst as f32 / (BLOCK * BLOCK) as f32;
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_block_stands_out() {
        let wanted = vec![100; 128 * 128];
        let mut shown: Vec<u8> = wanted.iter().map(|pixel| pixel + 2).collect();
        assert!((difference(&shown, 128, &wanted, 128, 128) - 2.0).abs() < 0.01);
        for row in 60..92 {
            shown[row * 128 + 40..row * 128 + 72].fill(200);
        }
        assert!(difference(&shown, 128, &wanted, 128, 128) > 40.0);
    }
}
