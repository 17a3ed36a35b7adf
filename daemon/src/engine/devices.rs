//! The device objects: what the registry knows, and what the engine uses now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::EngineError;
use super::event::{Change, DeviceObject, EngineEvent, News};
use crate::config::Config;
use crate::devices::camera::CameraSource;
use crate::devices::microphone::MicrophoneSource;
use crate::devices::registry::{self, ConfiguredDevices, DeviceInfo, DeviceKind, DeviceSource};
use crate::devices::speaker::SpeakerSink;

/// What the configuration says about devices, in the words of the devices themselves.
#[derive(Clone, Debug)]
pub(super) struct Configured {
    pub(super) devices: ConfiguredDevices,
}

impl Configured {
    /// Reads the words of the configuration, whose grammar was checked when it was loaded.
    ///
    /// # Errors
    /// A word that the devices do not know.
    pub(super) fn new(config: &Config) -> Result<Self, EngineError> {
        fn all<T: std::str::FromStr<Err: std::fmt::Display>>(
            first: &str,
            more: impl Iterator<Item = String>,
        ) -> Result<Vec<T>, EngineError> {
            let words = std::iter::once(first.to_owned()).chain(more);
            words.map(|word| word.parse().map_err(|error: T::Err| EngineError::argument(&error.to_string()))).collect()
        }
        let Config { camera, microphone, speaker, .. } = config;
        Ok(Self {
            devices: ConfiguredDevices {
                cameras: all(camera.source.as_str(), camera.more.iter().map(ToString::to_string))?,
                microphones: all(microphone.source.as_str(), microphone.more.iter().map(ToString::to_string))?,
                speakers: all(speaker.sink.as_str(), speaker.more.iter().map(ToString::to_string))?,
            },
        })
    }

    /// The camera of a channel: the main one's is `source`, the others have one of `more` each while they last.
    pub(super) fn camera(&self, channel: i32) -> CameraSource {
        let cameras = &self.devices.cameras;
        let index = usize::try_from(channel).unwrap_or(0);
        cameras.get(index).or_else(|| cameras.first()).cloned().unwrap_or_default()
    }

    /// The microphone of every channel that was given no other.
    pub(super) fn microphone(&self) -> MicrophoneSource {
        self.devices.microphones.first().cloned().unwrap_or_default()
    }

    /// The speaker.
    pub(super) fn speaker(&self) -> SpeakerSink {
        self.devices.speakers.first().cloned().unwrap_or_default()
    }
}

/// The device objects, shared by everything that opens devices.
pub(super) struct DeviceTable {
    configured: ConfiguredDevices,
    news: News,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    objects: Vec<DeviceObject>,
    used: Vec<DeviceSource>,
}

impl DeviceTable {
    /// An empty table; [`DeviceTable::take`] fills it.
    pub(super) fn new(configured: ConfiguredDevices, news: News) -> Arc<Self> {
        Arc::new(Self { configured, news, state: Mutex::default() })
    }

    /// Asks the system which devices there are. Blocks for as long as the devices take to answer.
    pub(super) fn look(&self) -> Vec<DeviceInfo> {
        registry::list(&self.configured)
    }

    /// Takes note of which devices there are now, and tells what changed.
    pub(super) fn take(&self, found: Vec<DeviceInfo>) {
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
        for device in found {
            let in_use = uses(&state.used, &device);
            if let Some(object) = state.objects.iter_mut().find(|object| same(&object.device, &device)) {
                let changed = DeviceObject { number: object.number, device, in_use };
                if changed != *object {
                    *object = changed.clone();
                    self.news.tell(EngineEvent::Device(Change::Changed(changed)));
                }
            } else {
                state.last += 1;
                let object = DeviceObject { number: state.last, device, in_use };
                state.objects.push(object.clone());
                self.news.tell(EngineEvent::Device(Change::Added(object)));
            }
        }
    }

    /// Takes note that the engine opened (`true`) or released a device.
    pub(super) fn set_in_use(&self, source: &DeviceSource, used: bool) {
        let mut state = self.lock();
        if used {
            state.used.push(source.clone());
        } else if let Some(index) = state.used.iter().position(|other| other == source) {
            state.used.swap_remove(index);
        }
        let State { objects, used, .. } = &mut *state;
        for object in objects {
            let in_use = uses(used, &object.device);
            if object.in_use != in_use {
                object.in_use = in_use;
                self.news.tell(EngineEvent::Device(Change::Changed(object.clone())));
            }
        }
    }

    /// The object of a device, by how it is opened; `auto` is the default one of its kind.
    pub(super) fn number_of(&self, source: &DeviceSource) -> Option<u64> {
        let state = self.lock();
        let found = state.objects.iter().find(|object| is(&object.device, source));
        found.map(|object| object.number)
    }

    /// How to open the device of an object.
    pub(super) fn source_of(&self, number: u64) -> Option<DeviceSource> {
        self.lock().objects.iter().find(|object| object.number == number).map(|object| object.device.source.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn same(a: &DeviceInfo, b: &DeviceInfo) -> bool {
    a.kind == b.kind && a.id == b.id
}

fn uses(used: &[DeviceSource], device: &DeviceInfo) -> bool {
    used.iter().any(|source| is(device, source))
}

/// Whether a device is what a source means.
fn is(device: &DeviceInfo, source: &DeviceSource) -> bool {
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
        let cameras = vec!["pattern".parse().unwrap(), "pattern:2".parse().unwrap()];
        let configured = ConfiguredDevices { cameras, ..ConfiguredDevices::default() };
        let table = DeviceTable::new(configured, news);
        (table, events)
    }

    fn simulated(table: &DeviceTable) -> Vec<DeviceInfo> {
        let all = table.look();
        all.into_iter().filter(|device| device.id.starts_with("pattern")).collect()
    }

    #[test]
    fn devices_keep_their_numbers_while_they_are_there() {
        let (table, mut events) = table();
        let found = simulated(&table);
        table.take(found.clone());
        let second = table.number_of(&found[1].source).unwrap();
        table.take(found[1..].to_vec());
        assert_eq!(table.number_of(&found[1].source), Some(second));
        assert_eq!(table.source_of(second), Some(found[1].source.clone()));
        table.take(found.clone());
        assert_ne!(table.number_of(&found[0].source), Some(1), "a number is never used twice");
        let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
        assert!(matches!(told[2], EngineEvent::Device(Change::Removed(1))), "{told:?}");
        assert_eq!(told.len(), 4);
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
}
