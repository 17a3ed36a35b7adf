//! The camera nodes of this machine, and the names by which they are asked for.

use std::fs;
use std::path::{Path, PathBuf};

use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::v4l_sys::{V4L2_CAP_STREAMING, V4L2_CAP_VIDEO_CAPTURE};
use v4l::video::Capture;
use v4l::{Device, FourCC};

use super::choice::{Mode, SUPPORTED, Sizes};
use super::stream::{Capability, capability};

/// Drivers that make their pictures up; `auto` takes them only when there is nothing else.
const VIRTUAL_DRIVERS: [&str; 2] = ["vivid", "vimc"];

/// Whether a node delivers pictures in the way that is used here.
pub(super) const fn captures(capability: &Capability) -> bool {
    let needed = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
    capability.flags & needed == needed
}

/// A camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::devices) struct Node {
    /// `/dev/videoN`.
    pub(in crate::devices) path: PathBuf,
    /// A name that stays: where it is plugged in, what it is, or else its node.
    pub(in crate::devices) id: String,
    /// For people.
    pub(in crate::devices) name: String,
    is_virtual: bool,
}

/// The nodes in the order of their numbers, whatever they are.
fn nodes() -> Vec<PathBuf> {
    let entries = fs::read_dir("/sys/class/video4linux").into_iter().flatten().flatten();
    let mut numbers: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("video")?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|number| PathBuf::from(format!("/dev/video{number}"))).collect()
}

/// All cameras, real hardware first.
pub(in crate::devices) fn list() -> Vec<Node> {
    let look = |path: PathBuf| {
        let device = Device::with_path(&path).ok()?;
        let capability = capability(&device.handle()).ok()?;
        captures(&capability).then(|| Node {
            id: stable_name(&path, Path::new("/dev/v4l")),
            name: capability.card,
            is_virtual: VIRTUAL_DRIVERS.contains(&capability.driver.as_str()),
            path,
        })
    };
    let mut found: Vec<Node> = nodes().into_iter().filter_map(look).collect();
    found.sort_by_key(|node| node.is_virtual);
    found
}

/// The name of the link by which udev says where the node is plugged in, or what it is; else the node itself.
fn stable_name(node: &Path, links: &Path) -> String {
    let named = ["by-path", "by-id"].into_iter().find_map(|kind| {
        let mut names: Vec<_> = fs::read_dir(links.join(kind)).ok()?.flatten().collect();
        names.sort_by_key(fs::DirEntry::file_name);
        let link = names.into_iter().find(|link| link.path().canonicalize().is_ok_and(|target| target == node))?;
        link.file_name().into_string().ok()
    });
    named.unwrap_or_else(|| node.display().to_string())
}

/// The node that a configured name means: a path, a link's name, `videoN`, or the name of a card.
pub(in crate::devices) fn find(id: &str) -> Option<PathBuf> {
    let path = Path::new(id);
    if path.is_absolute() {
        return path.exists().then(|| path.canonicalize().unwrap_or_else(|_| path.to_owned()));
    }
    if !id.contains('/') {
        for folder in ["/dev/v4l/by-path", "/dev/v4l/by-id", "/dev"] {
            let link = Path::new(folder).join(id);
            if (folder != "/dev" || id.starts_with("video"))
                && let Ok(node) = link.canonicalize()
            {
                return Some(node);
            }
        }
    }
    list().into_iter().find(|node| node.name == id || node.id == id).map(|node| node.path)
}

/// How a camera can be run, as near to a wished size as each format allows; one mode for each of its sizes where it has a list.
pub(super) fn modes(device: &Device, width: u32, height: u32) -> Vec<Mode> {
    let offered: Vec<FourCC> = device.enum_formats().unwrap_or_default().iter().map(|format| format.fourcc).collect();
    let mut modes = Vec::new();
    for (fourcc, _) in SUPPORTED {
        if !offered.iter().any(|offer| offer.repr == fourcc) {
            continue;
        }
        let sizes = device.enum_framesizes(FourCC::new(&fourcc)).unwrap_or_default();
        let sizes = sizes.iter().map(|size| match &size.size {
            FrameSizeEnum::Discrete(one) => Sizes::One(one.width, one.height),
            FrameSizeEnum::Stepwise(range) => Sizes::Range {
                width: (range.min_width, range.max_width, range.step_width),
                height: (range.min_height, range.max_height, range.step_height),
            },
        });
        // A driver that lists none is asked for the wish itself, and answers with what it can do.
        let mut sizes: Vec<(u32, u32)> = sizes.map(|sizes| sizes.nearest(width, height)).collect();
        if sizes.is_empty() {
            sizes.push((width, height));
        }
        for (width, height) in sizes {
            modes.push(Mode { fourcc, width, height, fps: highest_rate(device, fourcc, width, height) });
        }
    }
    modes
}

fn highest_rate(device: &Device, fourcc: [u8; 4], width: u32, height: u32) -> f64 {
    let intervals = device.enum_frameintervals(FourCC::new(&fourcc), width, height).unwrap_or_default();
    let rate = |interval: &v4l::Fraction| match interval.numerator {
        0 => 0.0,
        numerator => f64::from(interval.denominator) / f64::from(numerator),
    };
    let rates = intervals.iter().map(|interval| match &interval.interval {
        FrameIntervalEnum::Discrete(interval) => rate(interval),
        FrameIntervalEnum::Stepwise(range) => rate(&range.min),
    });
    rates.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_called_after_its_place_then_its_make_then_itself() {
        let directory = tempfile::TempDir::new().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let node = root.join("video3");
        fs::write(&node, "").unwrap();
        assert_eq!(stable_name(&node, &root), node.display().to_string());
        fs::create_dir(root.join("by-id")).unwrap();
        std::os::unix::fs::symlink("../video3", root.join("by-id/usb-Cam-index0")).unwrap();
        assert_eq!(stable_name(&node, &root), "usb-Cam-index0");
        fs::create_dir(root.join("by-path")).unwrap();
        std::os::unix::fs::symlink("../video4", root.join("by-path/other")).unwrap();
        std::os::unix::fs::symlink("../video3", root.join("by-path/pci-0:1-video-index0")).unwrap();
        assert_eq!(stable_name(&node, &root), "pci-0:1-video-index0");
    }

    #[test]
    fn a_name_that_means_nothing_is_not_found() {
        for name in ["nonsense", "../etc/passwd", "/dev/video250", "video250", ""] {
            assert_eq!(find(name), None, "{name}");
        }
    }
}
