//! The sound cards of this machine, and the names by which they are asked for.

use std::path::PathBuf;

use alsa::card;
use alsa::ctl::{Ctl, DeviceIter};
use alsa::pcm::HwParams;
use alsa::{Direction, Output, PCM};

use crate::audio::Channels;
use crate::devices::DeviceError;
use crate::devices::holders::holder_or_another;
use crate::devices::registry::DeviceFormat;

/// Drivers whose cards are no hardware; `auto` takes them only when there is nothing else.
const VIRTUAL_DRIVERS: [&str; 2] = ["Loopback", "Dummy"];

/// One PCM of a card in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pcm {
    pub(super) card: i32,
    pub(super) device: u32,
    pub(super) capture: bool,
    /// `CARD,DEVICE`: the card's id, which stays when others come and go.
    pub(super) id: String,
    /// For people.
    pub(super) name: String,
    pub(super) is_virtual: bool,
}

impl Pcm {
    /// Its device node.
    pub(super) fn node(&self) -> PathBuf {
        let end = if self.capture { 'c' } else { 'p' };
        PathBuf::from(format!("/dev/snd/pcmC{}D{}{end}", self.card, self.device))
    }

    /// What the hardware offers, without conversion; nothing while somebody uses it, or when it refuses.
    pub(super) fn formats(&self) -> Vec<DeviceFormat> {
        let _quiet = Output::local_error_handler();
        let direction = if self.capture { Direction::Capture } else { Direction::Playback };
        let asked = || -> alsa::Result<DeviceFormat> {
            let pcm = PCM::new(&format!("hw:{},{}", self.card, self.device), direction, true)?;
            let hardware = HwParams::any(&pcm)?;
            Ok(DeviceFormat::Audio {
                rates: (hardware.get_rate_min()?, hardware.get_rate_max()?),
                channels: (hardware.get_channels_min()?, hardware.get_channels_max()?),
            })
        };
        asked().into_iter().collect()
    }

    /// The card's id.
    pub(super) fn card_id(&self) -> &str {
        card_of(&self.id)
    }
}

/// All PCMs of one direction, real hardware first.
pub(super) fn list(direction: Direction) -> Vec<Pcm> {
    // Without any sound support the library complains on stderr.
    let _quiet = Output::local_error_handler();
    let mut found: Vec<Pcm> = card::Iter::new().flatten().flat_map(|card| of_card(&card, direction)).collect();
    found.sort_by_key(|pcm| (pcm.is_virtual, pcm.card, pcm.device));
    found
}

fn of_card(card: &alsa::Card, direction: Direction) -> Vec<Pcm> {
    let Ok(control) = Ctl::from_card(card, true) else { return Vec::new() };
    let Ok(info) = control.card_info() else { return Vec::new() };
    let text = |text: alsa::Result<&str>| text.unwrap_or_default().to_owned();
    let (id, card_name, driver) = (text(info.get_id()), text(info.get_name()), text(info.get_driver()));
    DeviceIter::new(&control)
        .filter_map(|device| {
            let device = u32::try_from(device).ok()?;
            let pcm = control.pcm_info(device, 0, direction).ok()?;
            let pcm_name = text(pcm.get_name());
            Some(Pcm {
                card: card.get_index(),
                device,
                capture: direction == Direction::Capture,
                id: format!("{id},{device}"),
                name: if pcm_name.is_empty() { card_name.clone() } else { format!("{card_name}: {pcm_name}") },
                is_virtual: VIRTUAL_DRIVERS.contains(&driver.as_str()),
            })
        })
        .collect()
}

/// The library's name for a configured one. `CARD`, `CARD,DEVICE` and `CARD,DEVICE,SUBDEVICE` by card id, and `hw:…`, go
/// through the converting plug-in; anything else is the library's own business.
fn pcm_name(name: &str, cards: &[String]) -> String {
    if let Some(address) = name.strip_prefix("hw:") {
        return format!("plughw:{address}");
    }
    let card = name.split(',').next().unwrap_or_default();
    if cards.iter().any(|id| id == card) { format!("plughw:{name}") } else { name.to_owned() }
}

/// Opens a PCM without waiting for whoever holds it, and says with how many channels to use it: two when they are wanted and the
/// hardware has them. `device` is the source string for messages.
pub(super) fn open(
    device: &str,
    name: &str,
    direction: Direction,
    wanted: Channels,
) -> Result<(PCM, Channels), DeviceError> {
    let complaints = Output::local_error_handler();
    let known = list_ids();
    let resolved = pcm_name(name, &known);
    if resolved.contains('\0') {
        return Err(not_found(device, name, &known));
    }
    // The converting plug-in takes any number; the hardware is asked while nobody has it.
    let of_hardware = || Some(most_channels(&PCM::new(&resolved.replace("plughw:", "hw:"), direction, true).ok()?));
    let most = if wanted == Channels::Stereo && resolved.starts_with("plughw:") { of_hardware() } else { None };
    let opened = PCM::new(&resolved, direction, true);
    if let (Err(_), Ok(complaints)) = (&opened, &complaints) {
        log::debug!("{device}: {}", complaints.borrow());
    }
    let with_channels = |pcm: PCM| {
        let has_two = wanted == Channels::Stereo && most.unwrap_or_else(|| most_channels(&pcm)) >= 2;
        (pcm, if has_two { Channels::Stereo } else { Channels::Mono })
    };
    opened.map(with_channels).map_err(|error| match rustix::io::Errno::from_raw_os_error(error.errno()) {
        rustix::io::Errno::BUSY | rustix::io::Errno::AGAIN => {
            let end = if direction == Direction::Capture { 'c' } else { 'p' };
            let wanted = list(direction).into_iter().find(|pcm| same_card(&resolved, pcm)).map(|pcm| pcm.node());
            let owner = holder_or_another(|path| match &wanted {
                Some(node) => path == node,
                None => path.to_str().is_some_and(|path| path.starts_with("/dev/snd/pcm") && path.ends_with(end)),
            });
            DeviceError::Busy { device: device.to_owned(), owner }
        }
        rustix::io::Errno::ACCESS | rustix::io::Errno::PERM => {
            DeviceError::PermissionDenied { device: device.to_owned() }
        }
        rustix::io::Errno::NOENT | rustix::io::Errno::NODEV | rustix::io::Errno::NXIO | rustix::io::Errno::INVAL => {
            not_found(device, name, &known)
        }
        errno => DeviceError::Io { device: device.to_owned(), action: "opening it", source: errno.into() },
    })
}

/// How many channels a PCM can have; one when it does not say.
fn most_channels(pcm: &PCM) -> u32 {
    HwParams::any(pcm).and_then(|hardware| hardware.get_channels_max()).unwrap_or(1)
}

/// The card in a name of the form `CARD,DEVICE`.
pub(super) fn card_of(id: &str) -> &str {
    id.split(',').next().unwrap_or_default()
}

/// Whether a configured name means hardware (`hw:…`, `CARD,DEVICE`), and not a PCM of the library's configuration.
pub(super) fn is_hardware_name(name: &str) -> bool {
    name.starts_with("hw:") || name.starts_with("plughw:") || (name.contains(',') && !name.contains(':'))
}

/// Whether two configured names mean the same PCM.
pub(super) fn same_pcm(one: &str, other: &str) -> bool {
    let address = |name: &str| {
        let address = name.strip_prefix("plughw:").or_else(|| name.strip_prefix("hw:")).unwrap_or(name);
        let mut parts = address.split(',').map(|part| part.rsplit('=').next().unwrap_or(part).to_owned());
        (parts.next(), parts.next().unwrap_or_else(|| "0".to_owned()))
    };
    address(one) == address(other)
}

fn list_ids() -> Vec<String> {
    let id = |card: alsa::Card| Some(Ctl::from_card(&card, true).ok()?.card_info().ok()?.get_id().ok()?.to_owned());
    card::Iter::new().flatten().filter_map(id).collect()
}

fn not_found(device: &str, name: &str, known: &[String]) -> DeviceError {
    let advice = if known.is_empty() {
        "this machine has no sound card".to_owned()
    } else {
        format!("there is no sound device {name}; the cards are {}", known.join(", "))
    };
    DeviceError::NotFound { device: device.to_owned(), advice }
}

/// Whether `plughw:CARD,DEVICE…` means that PCM.
fn same_card(resolved: &str, pcm: &Pcm) -> bool {
    let Some(address) = resolved.strip_prefix("plughw:") else { return false };
    let mut parts = address.split(',').map(|part| part.rsplit('=').next().unwrap_or(part));
    let card = parts.next().unwrap_or_default();
    let device = parts.next().and_then(|device| device.parse().ok()).unwrap_or(0);
    let id = pcm.id.split(',').next().unwrap_or_default();
    (card == id || card.parse() == Ok(pcm.card)) && device == pcm.device
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn card_ids_and_hw_names_are_converted_others_are_left_alone() {
        let cards = ["Loopback".to_owned(), "PCH".to_owned()];
        for (name, expected) in [
            ("Loopback", "plughw:Loopback"),
            ("Loopback,1", "plughw:Loopback,1"),
            ("PCH,0,3", "plughw:PCH,0,3"),
            ("hw:2,0", "plughw:2,0"),
            ("hw:CARD=PCH,DEV=0", "plughw:CARD=PCH,DEV=0"),
            ("plughw:2,0", "plughw:2,0"),
            ("default", "default"),
            ("dsnoop:PCH", "dsnoop:PCH"),
        ] {
            assert_eq!(pcm_name(name, &cards), expected);
        }
    }

    #[test]
    fn a_pcm_is_recognised_by_every_way_to_write_it() {
        let pcm =
            Pcm { card: 2, device: 1, capture: true, id: "Loopback,1".into(), name: String::new(), is_virtual: true };
        for name in ["plughw:Loopback,1", "plughw:2,1", "plughw:Loopback,1,0", "plughw:CARD=Loopback,DEV=1"] {
            assert!(same_card(name, &pcm), "{name}");
        }
        for name in ["plughw:Loopback", "plughw:1,1", "plughw:PCH,1", "default"] {
            assert!(!same_card(name, &pcm), "{name}");
        }
        assert_eq!(pcm.node(), Path::new("/dev/snd/pcmC2D1c"));
    }

    #[test]
    fn hardware_is_known_by_its_name() {
        for (name, hardware) in
            [("hw:2,0", true), ("plughw:2", true), ("PCH,1", true), ("default", false), ("dsnoop:PCH,0", false)]
        {
            assert_eq!(is_hardware_name(name), hardware, "{name}");
        }
    }

    #[test]
    fn a_card_without_a_device_means_its_first() {
        assert!(same_pcm("Loopback", "Loopback,0") && same_pcm("hw:CARD=PCH,DEV=1", "PCH,1"));
        assert!(!same_pcm("Loopback,1", "Loopback,0") && !same_pcm("PCH", "Loopback"));
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let error = open("alsa:Nowhere,7", "Nowhere,7", Direction::Capture, Channels::Stereo).map(drop).unwrap_err();
        assert_eq!(error.code(), 1_006_002, "{error}");
        assert!(error.to_string().contains("alsa:Nowhere,7"), "{error}");
    }
}
