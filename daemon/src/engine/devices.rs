//! The device objects: what the registry knows, and what the engine uses now.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::event::{Change, DeviceLevel, DeviceObject, EngineEvent, News};
use crate::devices::camera::CameraSource;
use crate::devices::microphone::MicrophoneSource;
use crate::devices::registry::{
    self, ConfiguredDevices, DeviceInfo, DeviceKind, DeviceSource, DeviceState, HardwareLevel,
};
use crate::devices::speaker::SpeakerSink;

/// The device objects, shared by everything that opens devices.
pub(super) struct DeviceTable {
    configured: ConfiguredDevices,
    news: News,
    /// Held while the system is asked, so that an older answer never replaces a newer one.
    looking: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    objects: Vec<DeviceObject>,
    used: Vec<DeviceSource>,
    /// Volumes and mutes of devices that have no control of their own, by what they are.
    software: HashMap<(DeviceKind, String), DeviceLevel>,
}

impl DeviceTable {
    /// An empty table; [`DeviceTable::refresh`] fills it.
    pub(super) fn new(configured: ConfiguredDevices, news: News) -> Arc<Self> {
        Arc::new(Self { configured, news, looking: Mutex::default(), state: Mutex::default() })
    }

    /// Asks the system which devices there are, tells what changed, and returns those that can be used and could not before.
    /// Blocks for as long as the devices take to answer.
    pub(super) fn refresh(&self) -> Vec<DeviceInfo> {
        let _one_at_a_time = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        self.take(registry::list(&self.configured))
    }

    /// As [`DeviceTable::refresh`], but asks only who uses the devices that are known.
    pub(super) fn refresh_holders(&self) -> Vec<DeviceInfo> {
        let _one_at_a_time = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<DeviceInfo> = self.lock().objects.iter().map(|object| object.device.clone()).collect();
        registry::look_for_holders(&mut found);
        self.take(found)
    }

    /// The nodes of the real devices.
    pub(super) fn nodes(&self) -> Vec<PathBuf> {
        self.lock().objects.iter().filter_map(|object| object.device.node.clone()).collect()
    }

    /// Takes note of which devices there are now, and tells what changed. Returns those that can be used, or are the default,
    /// and were not before.
    fn take(&self, found: Vec<DeviceInfo>) -> Vec<DeviceInfo> {
        let mut state = self.lock();
        let gone: Vec<u64> = state
            .objects
            .iter()
            .filter(|object| !found.iter().any(|device| same(device, &object.device)))
            .map(|object| object.number)
            .collect();
        for number in gone {
            state.objects.retain(|object| object.number != number);
            self.news.tell(EngineEvent::Device(Change::Removed(number)));
        }
        let mut came = Vec::new();
        for mut device in found {
            let known = state.objects.iter().position(|object| same(&object.device, &device));
            let before = known.map(|index| state.objects[index].clone());
            if device.formats.is_empty() && device.state != DeviceState::Unplugged {
                // One that is in use cannot be asked.
                device.formats = before.as_ref().map(|object| object.device.formats.clone()).unwrap_or_default();
            }
            let usable = |device: &DeviceInfo| (device.state == DeviceState::Available, device.default);
            let is_new = before.as_ref().is_none_or(|before| usable(&before.device) != usable(&device));
            if is_new && device.state == DeviceState::Available {
                came.push(device.clone());
            }
            let number = before.as_ref().map_or(state.last + 1, |object| object.number);
            let object = state.object(number, device);
            match known {
                Some(_) if before.as_ref() == Some(&object) => {}
                Some(index) => {
                    state.objects[index] = object.clone();
                    self.news.tell(EngineEvent::Device(Change::Changed(object)));
                }
                None => {
                    state.last = number;
                    state.objects.push(object.clone());
                    self.news.tell(EngineEvent::Device(Change::Added(object)));
                }
            }
        }
        came
    }

    /// Takes note that the engine opened (`true`) or released a device.
    pub(super) fn set_in_use(&self, source: &DeviceSource, used: bool) {
        let mut state = self.lock();
        if used {
            state.used.push(source.clone());
        } else if let Some(index) = state.used.iter().position(|other| other == source) {
            state.used.swap_remove(index);
        }
        self.review(&mut state);
    }

    /// A device that was used went away. Whether it is really gone, the next look tells; that one counts as a new one.
    pub(super) fn set_unplugged(&self, source: &DeviceSource) {
        let mut state = self.lock();
        for object in state.objects.iter_mut().filter(|object| is(&object.device, source)) {
            if object.device.state != DeviceState::Unplugged {
                object.device.state = DeviceState::Unplugged;
                self.news.tell(EngineEvent::Device(Change::Changed(object.clone())));
            }
        }
    }

    /// Changes the volume or mute that the daemon itself gives a device.
    pub(super) fn set_software(&self, device: &DeviceInfo, change: impl FnOnce(&mut DeviceLevel)) {
        let mut state = self.lock();
        change(state.software.entry((device.kind, device.id.clone())).or_default());
        self.review(&mut state);
    }

    /// Forgets the volumes and mutes that the daemon itself gave; a device's own controls stay as they are.
    pub(super) fn forget_software(&self) {
        let mut state = self.lock();
        state.software.clear();
        self.review(&mut state);
    }

    /// A device's own controls say this now.
    pub(super) fn set_hardware(&self, number: u64, level: HardwareLevel) {
        let mut state = self.lock();
        if let Some(object) = state.objects.iter_mut().find(|object| object.number == number) {
            object.device.level = level;
        }
        self.review(&mut state);
    }

    /// What the daemon has to do to the sound of a device, in percent: what its own controls do not do.
    pub(super) fn gain(&self, source: &DeviceSource) -> u8 {
        let state = self.lock();
        state.objects.iter().find(|object| is(&object.device, source)).map_or(100, |object| {
            let software = state.software_of(&object.device);
            match (object.device.level.volume, object.device.level.muted) {
                (_, None) if software.muted => 0,
                (None, _) => software.volume,
                (Some(_), _) => 100,
            }
        })
    }

    /// The object of a device, by how it is opened; `auto` is the default one of its kind.
    pub(super) fn number_of(&self, source: &DeviceSource) -> Option<u64> {
        let state = self.lock();
        let found = state.objects.iter().find(|object| is(&object.device, source));
        found.map(|object| object.number)
    }

    /// The device of an object.
    pub(super) fn device_of(&self, number: u64) -> Option<DeviceInfo> {
        self.lock().objects.iter().find(|object| object.number == number).map(|object| object.device.clone())
    }

    /// Tells of every object that is different now.
    fn review(&self, state: &mut State) {
        for index in 0..state.objects.len() {
            let before = &state.objects[index];
            let now = state.object(before.number, before.device.clone());
            if now != *before {
                state.objects[index] = now.clone();
                self.news.tell(EngineEvent::Device(Change::Changed(now)));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn object(&self, number: u64, device: DeviceInfo) -> DeviceObject {
        let software = self.software_of(&device);
        let level = DeviceLevel {
            volume: device.level.volume.unwrap_or(software.volume),
            muted: device.level.muted.unwrap_or(software.muted),
        };
        DeviceObject {
            number,
            in_use: self.used.iter().any(|source| is(&device, source)),
            level: (device.kind != DeviceKind::Camera).then_some(level),
            device,
        }
    }

    fn software_of(&self, device: &DeviceInfo) -> DeviceLevel {
        self.software.get(&(device.kind, device.id.clone())).copied().unwrap_or_default()
    }
}

fn same(a: &DeviceInfo, b: &DeviceInfo) -> bool {
    a.kind == b.kind && a.id == b.id
}

/// Whether a device is what a source means.
pub(super) fn is(device: &DeviceInfo, source: &DeviceSource) -> bool {
    let is_auto = match source {
        DeviceSource::Camera(source) => device.kind == DeviceKind::Camera && *source == CameraSource::Auto,
        DeviceSource::Microphone(source) => device.kind == DeviceKind::Microphone && *source == MicrophoneSource::Auto,
        DeviceSource::Speaker(sink) => device.kind == DeviceKind::Speaker && *sink == SpeakerSink::Auto,
    };
    device.source == *source || (is_auto && device.default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> (Arc<DeviceTable>, tokio::sync::mpsc::UnboundedReceiver<EngineEvent>) {
        let (news, events) = News::channel();
        let configured = ConfiguredDevices {
            cameras: vec!["pattern".parse().unwrap(), "pattern:2".parse().unwrap()],
            microphones: vec!["tone".parse().unwrap()],
            ..ConfiguredDevices::default()
        };
        (DeviceTable::new(configured, news), events)
    }

    fn simulated(table: &DeviceTable) -> Vec<DeviceInfo> {
        let all = registry::list(&table.configured);
        all.into_iter().filter(|device| device.id.starts_with("pattern") || device.id == "tone").collect()
    }

    #[test]
    fn devices_keep_their_numbers_while_they_are_there() {
        let (table, mut events) = table();
        let found = simulated(&table);
        assert_eq!(table.take(found.clone()).len(), 3, "all of them came");
        let second = table.number_of(&found[1].source).unwrap();
        assert!(table.take(found[1..].to_vec()).is_empty());
        assert_eq!(table.number_of(&found[1].source), Some(second));
        assert_eq!(table.device_of(second), Some(found[1].clone()));
        assert_eq!(table.take(found.clone()), found[..1], "the one that was gone came back");
        assert_ne!(table.number_of(&found[0].source), Some(1), "a number is never used twice");
        let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
        assert!(matches!(told[3], EngineEvent::Device(Change::Removed(1))), "{told:?}");
        assert_eq!(told.len(), 5);
    }

    #[test]
    fn a_used_device_shows_it() {
        let (table, mut events) = table();
        let found = simulated(&table);
        table.take(found.clone());
        while events.try_recv().is_ok() {}
        table.set_in_use(&found[0].source, true);
        let told = events.try_recv().unwrap();
        assert!(matches!(&told, EngineEvent::Device(Change::Changed(object)) if object.in_use), "{told:?}");
        table.take(found.clone());
        assert!(events.try_recv().is_err(), "nothing changed");
        table.set_in_use(&found[0].source, false);
        assert!(matches!(events.try_recv(), Ok(EngineEvent::Device(Change::Changed(object))) if !object.in_use));
    }

    #[test]
    fn one_that_went_away_while_it_was_used_comes_back_with_the_next_look() {
        let (table, _events) = table();
        let found = simulated(&table);
        table.take(found.clone());
        table.set_unplugged(&found[0].source);
        let mut gone = found.clone();
        gone[0].state = DeviceState::Unplugged;
        assert!(table.take(gone).is_empty());
        assert_eq!(table.take(found.clone()), found[..1]);
        // Even when it was back before anybody looked.
        table.set_unplugged(&found[0].source);
        assert_eq!(table.take(found.clone()), found[..1]);
    }

    #[test]
    fn the_daemon_does_what_a_device_s_own_controls_do_not() {
        let (table, mut events) = table();
        let found = simulated(&table);
        table.take(found.clone());
        while events.try_recv().is_ok() {}
        let microphone = &found[2];
        table.set_software(microphone, |level| level.volume = 30);
        let shown = |event| match event {
            Ok(EngineEvent::Device(Change::Changed(object))) => object.level.map(|level| (level.volume, level.muted)),
            other => panic!("{other:?}"),
        };
        assert_eq!((shown(events.try_recv()), table.gain(&microphone.source)), (Some((30, false)), 30));
        table.set_software(microphone, |level| level.muted = true);
        assert_eq!((shown(events.try_recv()), table.gain(&microphone.source)), (Some((30, true)), 0));
        // The same with hardware that has a volume but no mute, then with both.
        let number = table.number_of(&microphone.source).unwrap();
        table.set_hardware(number, HardwareLevel { volume: Some(70), muted: None });
        assert_eq!((shown(events.try_recv()), table.gain(&microphone.source)), (Some((70, true)), 0));
        table.set_hardware(number, HardwareLevel { volume: Some(70), muted: Some(false) });
        assert_eq!((shown(events.try_recv()), table.gain(&microphone.source)), (Some((70, false)), 100));
        table.forget_software();
        assert!(events.try_recv().is_err(), "the hardware's stay");
    }
}
