//! Notices devices that come and go, and programs that open or leave them. Nothing is polled.
//!
//! * Hardware: the kernel's and udev's messages on a netlink socket. udev's come when a device's node and its permissions are
//!   ready; the kernel's are for machines without udev.
//! * Simulated devices that are files: inotify on their folders.
//! * Who uses a device: inotify on the nodes of cameras and sound cards.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use tokio::io::unix::AsyncFd;

use crate::devices::registry::ConfiguredDevices;
use crate::devices::{descriptor, simulated};

/// Multicast groups of the kernel's messages and of udev's.
const GROUPS: u32 = 1 | 2;
/// One device makes several messages; this long after the first of them it is looked at.
const SETTLING_TIME: Duration = Duration::from_millis(100);
/// Subsystems whose devices are of any concern.
const SUBSYSTEMS: [&str; 2] = ["sound", "video4linux"];

/// What may be different now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Which devices there are.
    pub devices: bool,
    /// Who uses them.
    pub holders: bool,
}

/// Notices devices that come and go, from the moment that it is made.
#[derive(Debug)]
pub struct DeviceWatch {
    uevents: Option<AsyncFd<OwnedFd>>,
    files: Option<AsyncFd<OwnedFd>>,
    /// The folders of simulated devices, by watch descriptor, and what is awaited in each.
    awaited: Vec<(i32, PathBuf)>,
}

impl DeviceWatch {
    /// Begins. Make it before devices are looked for the first time, so that none is missed in between.
    ///
    /// What the system does not allow is logged and left out: then a device that comes or goes is only noticed when it is used.
    #[must_use]
    pub fn start(configured: &ConfiguredDevices) -> Self {
        let watched = |what: &str, opened: io::Result<AsyncFd<OwnedFd>>| match opened {
            Ok(descriptor) => Some(descriptor),
            Err(error) => {
                log::warn!("{what} will not be noticed: {error}");
                None
            }
        };
        let uevents = watched("devices that come or go", open_uevents());
        let files = watched("files that come or go, and programs that use a device,", open_inotify());
        let mut watch = Self { uevents, files, awaited: Vec::new() };
        for path in configured.sources().filter_map(|source| simulated::presence(&source)) {
            watch.await_path(path);
        }
        watch
    }

    /// Watches the folder in which a file or folder is to appear.
    fn await_path(&mut self, path: PathBuf) {
        let Some(files) = &self.files else { return };
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ONLYDIR;
        match inotify::add_watch(files, &folder, flags) {
            Ok(watch) => self.awaited.push((watch, path)),
            Err(error) => log::warn!("{} will not be noticed when it comes or goes: {error}", path.display()),
        }
    }

    /// Watches who uses these nodes, from now on; one that is watched already stays so.
    pub fn watch_nodes<'a>(&self, nodes: impl Iterator<Item = &'a Path>) {
        let Some(files) = &self.files else { return };
        for node in nodes {
            let flags = WatchFlags::OPEN | WatchFlags::CLOSE_WRITE | WatchFlags::CLOSE_NOWRITE;
            if let Err(error) = inotify::add_watch(files, node, flags) {
                log::debug!("{} cannot be watched: {error}", node.display());
            }
        }
    }

    /// Waits until something may have changed, and a moment longer for what belongs together.
    pub async fn changed(&self) -> Changes {
        let mut changes = Changes::default();
        while changes == Changes::default() {
            tokio::select! {
                () = readable(self.uevents.as_ref()) => {}
                () = readable(self.files.as_ref()) => {}
            }
            self.drain(&mut changes);
        }
        tokio::time::sleep(SETTLING_TIME).await;
        self.drain(&mut changes);
        changes
    }

    /// Reads everything there is.
    fn drain(&self, changes: &mut Changes) {
        if let Some(uevents) = &self.uevents {
            drain_uevents(uevents.get_ref(), changes);
        }
        if let Some(files) = &self.files {
            self.drain_files(files.get_ref(), changes);
        }
    }

    fn drain_files(&self, files: &OwnedFd, changes: &mut Changes) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(files, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    *changes = Changes { devices: true, holders: true };
                }
                // That a watched thing is gone, its folder or udev tells.
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => {}
                Ok(event) => match event.file_name() {
                    Some(name) => {
                        let name = OsStr::from_bytes(name.to_bytes());
                        let is_awaited =
                            |(watch, path): &(i32, PathBuf)| *watch == event.wd() && path.file_name() == Some(name);
                        changes.devices |= self.awaited.iter().any(is_awaited);
                    }
                    None => changes.holders = true,
                },
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

/// Waits until there is something to read; forever without a descriptor.
async fn readable(descriptor: Option<&AsyncFd<OwnedFd>>) {
    let Some(descriptor) = descriptor else { return std::future::pending().await };
    match descriptor.readable().await {
        // It is read until it is empty after this.
        Ok(mut ready) => ready.clear_ready(),
        Err(_) => std::future::pending().await,
    }
}

fn open_uevents() -> io::Result<AsyncFd<OwnedFd>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(KOBJECT_UEVENT))?;
    bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
    descriptor::readable(socket)
}

fn open_inotify() -> io::Result<AsyncFd<OwnedFd>> {
    descriptor::readable(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?)
}

fn drain_uevents(socket: &OwnedFd, changes: &mut Changes) {
    // The kernel's messages are at most 2 KiB, udev's at most 8.
    let mut message = [0; 16 << 10];
    loop {
        match recv(socket, &mut message[..], RecvFlags::empty()) {
            Ok((length, _)) => changes.devices |= is_of_concern(&message[..length.min(16 << 10)]),
            // Messages were lost.
            Err(Errno::NOBUFS) => changes.devices = true,
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Whether a message says that a camera or sound card came, went or is something else now. Only root can send one; a wrong one
/// costs a look at the devices.
fn is_of_concern(message: &[u8]) -> bool {
    let mut action = "";
    let mut subsystem = "";
    for field in properties(message).split(|byte| *byte == 0) {
        match std::str::from_utf8(field).ok().and_then(|field| field.split_once('=')) {
            Some(("ACTION", value)) => action = value,
            Some(("SUBSYSTEM", value)) => subsystem = value,
            _ => {}
        }
    }
    SUBSYSTEMS.contains(&subsystem) && !matches!(action, "" | "bind" | "unbind")
}

/// The `KEY=VALUE` pairs of a message, each with a zero byte at its end.
///
/// udev's begins with `libudev`, a zero byte, four bytes of magic, and three numbers of four bytes in the machine's order: the
/// header's size, where the pairs begin, and how many bytes they are. The kernel's begins with a line of text.
fn properties(message: &[u8]) -> &[u8] {
    let number = |at: usize| {
        let bytes = message.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_ne_bytes(bytes)).ok()
    };
    if message.starts_with(b"libudev\0") {
        let range =
            number(16).zip(number(20)).and_then(|(begin, length)| message.get(begin..begin.checked_add(length)?));
        return range.unwrap_or_default();
    }
    message
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::devices::speaker::SpeakerSink;

    fn of_udev(pairs: &[u8]) -> Vec<u8> {
        let mut message = b"libudev\0".to_vec();
        message.extend([0xfe, 0xed, 0xca, 0xfe]);
        for number in [40, 40, pairs.len() as u32] {
            message.extend(number.to_ne_bytes());
        }
        message.resize(40, 0);
        message.extend(pairs);
        message
    }

    #[test]
    fn messages_of_kernel_and_udev_are_understood() {
        let camera = b"ACTION=add\0DEVPATH=/devices/x/video4linux/video0\0SUBSYSTEM=video4linux\0SEQNUM=7\0";
        let kernel = |pairs: &[u8]| [b"add@/devices/x\0", pairs].concat();
        assert!(is_of_concern(&kernel(camera)) && is_of_concern(&of_udev(camera)));
        let card = b"ACTION=remove\0SUBSYSTEM=sound\0";
        assert!(is_of_concern(&kernel(card)) && is_of_concern(&of_udev(card)));
        for other in
            [&b"ACTION=add\0SUBSYSTEM=block\0"[..], b"SUBSYSTEM=sound\0", b"ACTION=bind\0SUBSYSTEM=sound\0", b""]
        {
            assert!(!is_of_concern(&kernel(other)) && !is_of_concern(&of_udev(other)), "{other:?}");
        }
        let mut cut = of_udev(card);
        cut.truncate(50);
        assert!(!is_of_concern(&cut) && !is_of_concern(b"libudev\0") && !is_of_concern(&cut[..18]));
    }

    async fn soon(watch: &DeviceWatch) -> Changes {
        tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.expect("it is noticed")
    }

    #[tokio::test]
    async fn a_file_that_comes_or_goes_is_noticed_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let (clip, dock) = (folder.path().join("clip.y4m"), folder.path().join("dock"));
        let watch = DeviceWatch::start(&ConfiguredDevices {
            cameras: vec![format!("file:{}", clip.display()).parse().unwrap()],
            speakers: vec![SpeakerSink::File(dock.join("out.wav"))],
            ..ConfiguredDevices::default()
        });
        let devices = Changes { devices: true, holders: false };
        fs::write(folder.path().join("other"), "x").unwrap();
        let nothing = tokio::time::timeout(Duration::from_millis(200), watch.changed()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        fs::write(&clip, "x").unwrap();
        assert_eq!(soon(&watch).await, devices);
        fs::remove_file(&clip).unwrap();
        assert_eq!(soon(&watch).await, devices);
        fs::create_dir(&dock).unwrap();
        assert_eq!(soon(&watch).await, devices);
    }

    #[tokio::test]
    async fn a_program_that_opens_or_leaves_a_node_is_noticed() {
        let node = tempfile::NamedTempFile::new().unwrap();
        let watch = DeviceWatch::start(&ConfiguredDevices::default());
        watch.watch_nodes([node.path()].into_iter());
        let holders = Changes { devices: false, holders: true };
        let open = fs::File::open(node.path()).unwrap();
        assert_eq!(soon(&watch).await, holders);
        drop(open);
        assert_eq!(soon(&watch).await, holders);
    }
}
