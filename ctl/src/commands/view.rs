//! Views that a command asks the daemon for.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use tokio::io::Interest;
use tokio::net::unix::pipe;
use zbus::{Fd, Variant};

use crate::arguments::{Canvas, ViewTarget};
use crate::bus::Daemon;
use crate::failure::Failure;
use crate::output::Output;

/// Where a picture goes, everything on this side being open.
#[derive(Debug)]
pub enum Prepared {
    /// Nowhere.
    None,
    /// One that somebody made before, and that is theirs.
    Existing(u64),
    /// A view that stays when this program ends.
    Lasting(ViewTarget),
    /// A descriptor of ours: the view ends with this program.
    Pipe(OwnedFd),
}

impl Prepared {
    /// Opens what must be open. A FIFO waits here for its reader.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn of(target: &ViewTarget, output: Output) -> Result<Prepared, Failure> {
        match target {
            ViewTarget::None => Ok(Prepared::None),
            ViewTarget::Existing(id) => Ok(Prepared::Existing(*id)),
            ViewTarget::Pipe(path) => open(path, output)
                .map(Prepared::Pipe)
                .map_err(|error| Failure::local(format!("{} cannot be opened: {error}", path.display()))),
            lasting => Ok(Prepared::Lasting(lasting.clone())),
        }
    }

    /// Whether the view ends with this program.
    pub fn is_pipe(&self) -> bool {
        matches!(self, Prepared::Pipe(_))
    }

    /// Asks the daemon for the view, unless there is to be none or it is there.
    ///
    /// # Errors
    /// The daemon's.
    pub async fn create(&self, daemon: &Daemon) -> Result<Shown, Failure> {
        let mut target: HashMap<&str, Variant<'_>> = HashMap::new();
        let kind = match self {
            Prepared::None => return Ok(Shown::default()),
            Prepared::Existing(id) => return Ok(Shown { view: Some(*id), made: None }),
            Prepared::Pipe(fd) => {
                target.insert("fd", Variant::Fd(Fd::from(fd.as_fd())));
                "pipe"
            }
            Prepared::Lasting(ViewTarget::Kms(connector)) => {
                target.insert("connector", Variant::new(connector.as_str()));
                "kms"
            }
            Prepared::Lasting(ViewTarget::V4l2(device)) => {
                target.insert("device", Variant::new(device.as_str()));
                "v4l2"
            }
            Prepared::Lasting(_) => "null",
        };
        target.insert("kind", Variant::new(kind));
        let made = Some(daemon.engine.create_platform_view(target).await?);
        Ok(Shown { view: made, made })
    }
}

/// The view of a command.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown {
    /// What shows the picture.
    pub view: Option<u64>,
    /// The same if it was made for this, and has to be freed after it.
    pub made: Option<u64>,
}

/// Adds what the command line says of a canvas to the options of a call.
///
/// # Errors
/// Something is said of a picture that goes nowhere.
pub fn give_canvas<'a>(
    options: &mut HashMap<&'a str, Variant<'a>>,
    canvas: &Canvas,
    mirror: Option<bool>,
    shown: Shown,
) -> Result<(), Failure> {
    let Some(view) = shown.view else {
        if canvas.fit.is_some() || canvas.background.is_some() || mirror.is_some() {
            return Err(Failure::Usage("--fit, --background and mirroring are for a picture: give --view".to_string()));
        }
        return Ok(());
    };
    options.insert("view", Variant::new(view));
    if let Some(fit) = canvas.fit {
        options.insert("view_mode", Variant::new(fit.number()));
    }
    if let Some(colour) = canvas.background {
        options.insert("background_color", Variant::new(colour.0));
    }
    if let Some(mirror) = mirror {
        options.insert("mirror", Variant::new(mirror));
    }
    Ok(())
}

/// Waits until nobody reads the other end of a pipe any more; forever, when it is no pipe.
pub async fn reader_gone(view: &Prepared) {
    // A regular file cannot be waited for, and its reader cannot go. Nothing is written here, so a blocking pipe is fine, and
    // it must stay one: the daemon shares its flags.
    if let Prepared::Pipe(fd) = view
        && let Ok(fd) = fd.try_clone()
        && let Ok(waiting) = pipe::Sender::from_owned_fd_unchecked(fd)
        && waiting.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

fn open(path: &Path, output: Output) -> io::Result<OwnedFd> {
    if path.as_os_str() == "-" {
        return io::stdout().as_fd().try_clone_to_owned();
    }
    if path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        output.remark(&format!("Waiting for a reader of {}.", path.display()));
    }
    Ok(OpenOptions::new().write(true).create(true).truncate(true).open(path)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: Output = Output { json: true };

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let failure = Prepared::of(&ViewTarget::Pipe("/nonexistent/x.y4m".into()), OUTPUT).unwrap_err();
        assert_eq!(failure.status(), 1);
        assert!(failure.text(false).contains("/nonexistent/x.y4m"), "{}", failure.text(false));
    }

    #[tokio::test]
    async fn a_reader_that_goes_is_noticed() {
        let (reader, writer) = std::io::pipe().unwrap();
        let pipe = Prepared::Pipe(writer.into());
        let mut gone = std::pin::pin!(reader_gone(&pipe));
        let moment = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(moment, &mut gone).await.is_err(), "it is still there");
        drop(reader);
        assert!(tokio::time::timeout(moment * 100, gone).await.is_ok());
    }

    #[tokio::test]
    async fn a_file_has_no_reader_that_could_go() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let pipe = Prepared::Pipe(file.into());
        let moment = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(moment, reader_gone(&pipe)).await.is_err());
    }

    #[test]
    fn only_descriptors_end_with_this_program() {
        assert!(Prepared::of(&ViewTarget::Pipe("-".into()), OUTPUT).unwrap().is_pipe());
        assert!(!Prepared::of(&ViewTarget::Null, OUTPUT).unwrap().is_pipe());
        assert!(!Prepared::of(&ViewTarget::None, OUTPUT).unwrap().is_pipe());
    }
}
