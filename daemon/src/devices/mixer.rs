//! A sound card's own volume and mute: its ALSA mixer controls.

use std::io;

use alsa::Output;
use alsa::mixer::{Mixer, Selem, SelemChannelId};
use alsa::{Direction, mixer};

use crate::devices::DeviceError;
use crate::devices::registry::HardwareLevel;

/// Controls by the names that drivers give them, the best first; without any of them the card's first control is used.
const PLAYBACK: [&str; 7] = ["Master", "PCM", "Speaker", "Headset", "Headphone", "Digital", "Line Out"];
const CAPTURE: [&str; 5] = ["Capture", "Mic", "Headset", "Digital", "Line"];

/// What a card's controls say; nothing where it has none.
pub(super) fn read(card: &str, direction: Direction) -> HardwareLevel {
    let _quiet = Output::local_error_handler();
    let Ok(mixer) = open(card) else { return HardwareLevel::default() };
    let volume = control(&mixer, direction, Part::Volume);
    let switch = control(&mixer, direction, Part::Switch);
    HardwareLevel {
        volume: volume.and_then(|control| volume_of(&control, direction)),
        muted: switch.and_then(|control| is_on(&control, direction)).map(|on| !on),
    }
}

/// Sets the volume, 0 to 100: the place in the control's range, as `amixer` counts.
///
/// # Errors
/// [`DeviceError::Unplugged`] when the card is gone, [`DeviceError::Io`] when it refuses.
pub(super) fn set_volume(device: &str, card: &str, direction: Direction, volume: u8) -> Result<(), DeviceError> {
    change(device, card, direction, Part::Volume, |control| {
        let (least, most) = range(control, direction);
        let value = raw(volume, least, most);
        match direction {
            Direction::Playback => control.set_playback_volume_all(value),
            Direction::Capture => control.set_capture_volume_all(value),
        }
    })
}

/// Mutes or unmutes.
///
/// # Errors
/// As [`set_volume`].
pub(super) fn set_muted(device: &str, card: &str, direction: Direction, muted: bool) -> Result<(), DeviceError> {
    let on = i32::from(!muted);
    change(device, card, direction, Part::Switch, |control| match direction {
        Direction::Playback => control.set_playback_switch_all(on),
        Direction::Capture => control.set_capture_switch_all(on),
    })
}

#[derive(Clone, Copy)]
enum Part {
    Volume,
    Switch,
}

fn open(card: &str) -> alsa::Result<Mixer> {
    Mixer::new(&format!("hw:{card}"), true)
}

fn change(
    device: &str,
    card: &str,
    direction: Direction,
    part: Part,
    set: impl FnOnce(&Selem<'_>) -> alsa::Result<()>,
) -> Result<(), DeviceError> {
    let _quiet = Output::local_error_handler();
    let failed = |error: alsa::Error| match rustix::io::Errno::from_raw_os_error(error.errno()) {
        rustix::io::Errno::NODEV | rustix::io::Errno::NOENT => DeviceError::Unplugged { device: device.to_owned() },
        errno => DeviceError::Io { device: device.to_owned(), action: "setting its volume", source: errno.into() },
    };
    let mixer = open(card).map_err(failed)?;
    let Some(control) = control(&mixer, direction, part) else {
        let source = io::Error::new(io::ErrorKind::NotFound, "its control is gone");
        return Err(DeviceError::Io { device: device.to_owned(), action: "setting its volume", source });
    };
    set(&control).map_err(failed)
}

/// The control that stands for a whole direction of a card.
fn control(mixer: &Mixer, direction: Direction, part: Part) -> Option<Selem<'_>> {
    let has = |control: &Selem<'_>| match (direction, part) {
        (Direction::Playback, Part::Volume) => control.has_playback_volume(),
        (Direction::Playback, Part::Switch) => control.has_playback_switch(),
        (Direction::Capture, Part::Volume) => control.has_capture_volume(),
        (Direction::Capture, Part::Switch) => control.has_capture_switch(),
    };
    let name = |control: &Selem<'_>| control.get_id().get_name().unwrap_or_default().to_owned();
    let known: &[&str] = if direction == Direction::Playback { &PLAYBACK } else { &CAPTURE };
    let place = |control: &Selem<'_>| known.iter().position(|known| *known == name(control)).unwrap_or(known.len());
    mixer.iter().filter_map(mixer::Selem::new).filter(has).min_by_key(place)
}

fn range(control: &Selem<'_>, direction: Direction) -> (i64, i64) {
    match direction {
        Direction::Playback => control.get_playback_volume_range(),
        Direction::Capture => control.get_capture_volume_range(),
    }
}

fn volume_of(control: &Selem<'_>, direction: Direction) -> Option<u8> {
    let (least, most) = range(control, direction);
    let value = match direction {
        Direction::Playback => control.get_playback_volume(SelemChannelId::mono()),
        Direction::Capture => control.get_capture_volume(SelemChannelId::mono()),
    };
    Some(percent(value.ok()?, least, most))
}

fn is_on(control: &Selem<'_>, direction: Direction) -> Option<bool> {
    let value = match direction {
        Direction::Playback => control.get_playback_switch(SelemChannelId::mono()),
        Direction::Capture => control.get_capture_switch(SelemChannelId::mono()),
    };
    value.ok().map(|value| value != 0)
}

/// A place in a range as 0 to 100, rounded.
fn percent(value: i64, least: i64, most: i64) -> u8 {
    let span = (most - least).max(1);
    let percent = ((value - least).clamp(0, span) * 100 + span / 2) / span;
    u8::try_from(percent).unwrap_or(100)
}

/// The place in a range of a volume of 0 to 100, rounded.
fn raw(volume: u8, least: i64, most: i64) -> i64 {
    least + (i64::from(volume.min(100)) * (most - least) + 50) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_places_in_the_control_s_range() {
        for (volume, least, most, expected) in
            [(0, 0, 64, 0), (100, 0, 64, 64), (50, 0, 64, 32), (50, -128, 128, 0), (1, 0, 31, 0), (99, 0, 31, 31)]
        {
            assert_eq!(raw(volume, least, most), expected, "{volume} of {least} to {most}");
        }
        // A control with a hundred steps or more keeps every volume.
        assert!((0..=100).all(|volume| percent(raw(volume, -50, 205), -50, 205) == volume));
        assert_eq!((percent(3, 3, 3), percent(99, 0, 10), percent(-5, 0, 10)), (0, 100, 0));
    }

    #[test]
    fn a_card_that_is_not_there_has_no_controls() {
        assert_eq!(read("Nowhere", Direction::Playback), HardwareLevel::default());
        assert!(set_volume("alsa:Nowhere,0", "Nowhere", Direction::Capture, 50).is_err());
    }
}
