//! The descriptor that a recording is written to. Only the recording's own thread waits for it.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, SeekFrom, fcntl_getfl, fcntl_setfl, fdatasync, fstat, ftruncate, seek};
use rustix::io::{Errno, pwrite, write};

use super::RecordError;

/// How long a wait for a pipe's reader goes on before it is looked whether somebody wants it to end.
const LOOK: Duration = Duration::from_millis(100);

/// A descriptor of the caller.
#[derive(Debug)]
pub(super) struct Output {
    descriptor: OwnedFd,
    /// The descriptor's flags as the caller gave it, to be left that way; of anything but a file, whose writing ends by itself.
    flags: Option<OFlags>,
    /// Bytes that were there before, of a file.
    before: Option<u64>,
    /// Whether it is a file that everything is appended to, even what is written to another place (open(2), BUGS of pwrite(2)).
    appends: bool,
    /// Bytes of whole fragments written.
    written: u64,
}

impl Output {
    /// Takes a descriptor.
    ///
    /// # Errors
    /// The descriptor cannot be written to.
    pub(super) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let flags = fcntl_getfl(&descriptor)?;
        if !flags.intersects(OFlags::WRONLY | OFlags::RDWR) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the descriptor is not open for writing"));
        }
        let status = fstat(&descriptor)?;
        let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        let before = if !is_file {
            None
        } else if flags.contains(OFlags::APPEND) {
            u64::try_from(status.st_size).ok()
        } else {
            Some(seek(&descriptor, SeekFrom::Current(0))?)
        };
        if !is_file {
            fcntl_setfl(&descriptor, flags | OFlags::NONBLOCK)?;
        }
        Ok(Self {
            descriptor,
            flags: (!is_file).then_some(flags),
            before,
            appends: flags.contains(OFlags::APPEND),
            written: 0,
        })
    }

    /// Bytes of whole fragments written.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Writes a fragment whole and, to a file, onto the disk. `give_up` is asked now and then while a reader is waited for.
    /// What was written of a fragment that does not fit is taken out of the file again, so that the file ends with a whole one.
    ///
    /// # Errors
    /// [`RecordError`].
    pub(super) fn write(&mut self, bytes: &[u8], give_up: impl Fn() -> bool) -> Result<(), RecordError> {
        let mut rest = bytes;
        let result = loop {
            if rest.is_empty() {
                break self.before.map_or(Ok(()), |_| fdatasync(&self.descriptor));
            }
            match write(&self.descriptor, rest) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if give_up() {
                        return Err(RecordError::Slow);
                    }
                    if let Err(errno) = self.wait() {
                        break Err(errno);
                    }
                }
                Err(errno) => break Err(errno),
            }
        };
        match result {
            // Some file systems cannot promise anything about the disk; the bytes are with the kernel then.
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) if rest.is_empty() => {
                self.written += bytes.len() as u64;
                Ok(())
            }
            Ok(()) => Ok(()),
            Err(errno) => {
                if let Some(before) = self.before {
                    let _ = ftruncate(&self.descriptor, before + self.written);
                }
                Err(match errno {
                    Errno::NOSPC | Errno::DQUOT | Errno::FBIG => RecordError::Full,
                    errno => RecordError::Write(errno.into()),
                })
            }
        }
    }

    /// Whether what was written can become something else.
    pub(super) const fn is_amendable(&self) -> bool {
        self.before.is_some() && !self.appends
    }

    /// Writes other bytes in place of those at `at`, counted from the first one that was written; nothing where that cannot be.
    ///
    /// # Errors
    /// [`RecordError::Write`].
    pub(super) fn amend(&self, at: u64, bytes: &[u8]) -> Result<(), RecordError> {
        let Some(before) = self.before.filter(|_| !self.appends) else { return Ok(()) };
        let written = pwrite(&self.descriptor, bytes, before + at).map_err(|errno| RecordError::Write(errno.into()))?;
        if written < bytes.len() {
            return Err(RecordError::Write(io::ErrorKind::WriteZero.into()));
        }
        match fdatasync(&self.descriptor) {
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
            Err(errno) => Err(RecordError::Write(errno.into())),
        }
    }

    fn wait(&self) -> Result<(), Errno> {
        let time = Timespec::try_from(LOOK).map_err(|_| Errno::INVAL)?;
        match poll(&mut [PollFd::new(&self.descriptor, PollFlags::OUT)], Some(&time)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(flags) = self.flags {
            let _ = fcntl_setfl(&self.descriptor, flags);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_file_is_written_from_where_it_stands() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"before ").unwrap();
        let mut output = Output::new(file.try_clone().unwrap().into()).unwrap();
        output.write(b"header ", || false).unwrap();
        output.write(b"fragment", || false).unwrap();
        assert_eq!(output.written(), 15);
        let mut text = String::new();
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "before header fragment");
        output.amend(1, b"EAD").unwrap();
        output.write(b"!", || false).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        text.clear();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "before hEADer fragment!");
    }

    #[test]
    fn only_a_file_that_is_not_appended_to_can_be_amended() {
        let (_reader, writer) = rustix::pipe::pipe().unwrap();
        assert!(!Output::new(writer).unwrap().is_amendable());
        let file = tempfile::NamedTempFile::new().unwrap();
        let appended = std::fs::OpenOptions::new().append(true).open(file.path()).unwrap();
        let mut output = Output::new(appended.into()).unwrap();
        output.write(b"header", || false).unwrap();
        assert!(!output.is_amendable());
        output.amend(0, b"H").unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"header");
    }

    #[test]
    fn a_full_disk_has_an_error_of_its_own() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut output = Output::new(full.into()).unwrap();
        assert!(matches!(output.write(b"x", || false), Err(RecordError::Full)));
    }

    #[test]
    fn a_reader_that_goes_away_is_an_error() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut output = Output::new(writer).unwrap();
        output.write(b"x", || false).unwrap();
        drop(reader);
        let error = output.write(b"y", || false).unwrap_err();
        assert!(matches!(error, RecordError::Write(_)), "{error}");
    }

    #[test]
    fn a_reader_that_does_not_read_is_given_up_and_the_flags_are_left_alone() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let before = fcntl_getfl(&writer).unwrap();
        let theirs = writer.as_fd().try_clone_to_owned().unwrap();
        let mut output = Output::new(writer).unwrap();
        assert!(matches!(output.write(&vec![0; 1 << 20], || true), Err(RecordError::Slow)));
        drop(output);
        assert_eq!(fcntl_getfl(&theirs).unwrap(), before);
        drop(reader);
    }

    #[test]
    fn a_descriptor_that_cannot_be_written_is_refused() {
        let (reader, _writer) = rustix::pipe::pipe().unwrap();
        assert!(Output::new(reader).unwrap_err().to_string().contains("not open for writing"));
    }
}
