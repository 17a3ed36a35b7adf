//! Watches a texture view: counts its frames and reads their age from the bar in them.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use zego_tools::bar::Bar;
use zego_tools::clock;
use zego_tools::texture::{Texture, TextureError};

/// Why a view cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    /// It cannot be mapped, or is laid out in an unknown way.
    #[error(transparent)]
    Texture(#[from] TextureError),
    /// No thread for it.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// What was seen since the last look.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// Frames that were shown.
    pub frames: u64,
    /// Milliseconds from the making of a frame to its showing, of every frame with a readable bar.
    pub latencies: Vec<u16>,
}

/// A view that is watched by a thread of its own, which sleeps between frames.
#[derive(Debug, Default)]
pub struct Meter {
    sight: Mutex<Sight>,
}

impl Meter {
    /// Begins to watch the view of the two descriptors that `OpenTexture` gave.
    pub fn start(memory: OwnedFd, wakeup: OwnedFd) -> Result<Arc<Self>, MeterError> {
        let texture = Texture::map(&memory)?;
        let meter = Arc::new(Self::default());
        let watching = Arc::clone(&meter);
        thread::Builder::new()
            .name("view".to_owned())
            .spawn(move || watching.watch(&texture, &wakeup))
            .map_err(MeterError::Thread)?;
        Ok(meter)
    }

    /// Ends with the process: a view that is gone just stays silent.
    fn watch(&self, texture: &Texture, wakeup: &OwnedFd) {
        let (mut seen, mut luma, mut count) = (texture.newest(), Vec::new(), [0; 8]);
        loop {
            let mut ready = [PollFd::from_borrowed_fd(wakeup.as_fd(), PollFlags::IN)];
            if poll(&mut ready, None).is_err() || rustix::io::read(wakeup, &mut count).is_err() {
                return;
            }
            let (newest, now) = (texture.newest(), clock::now());
            let read = texture.read_luma(newest, &mut luma);
            let bar = read.and_then(|_| Bar::read(&luma, texture.width, texture.width));
            let mut sight = self.sight.lock().unwrap_or_else(PoisonError::into_inner);
            sight.frames += newest - seen;
            sight.latencies.extend(bar.map(|bar| bar.age_ms(now)));
            seen = newest;
        }
    }

    /// What was seen since the last look.
    pub fn look(&self) -> Sight {
        std::mem::take(&mut self.sight.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
