//! Volume and mute of microphones and speakers: by their own controls where they have some, else by the daemon.

use super::core::Core;
use super::error::EngineError;
use super::handle::{Engine, Reply};
use crate::devices::DeviceError;
use crate::devices::registry::{self, DeviceInfo, DeviceKind, DeviceSource};

/// What is to be changed.
#[derive(Clone, Copy)]
enum Setting {
    Volume(u8),
    Muted(bool),
}

impl Setting {
    const fn is_in_hardware(self, device: &DeviceInfo) -> bool {
        match self {
            Self::Volume(_) => device.level.volume.is_some(),
            Self::Muted(_) => device.level.muted.is_some(),
        }
    }

    fn to_hardware(self, source: &DeviceSource) -> Result<registry::HardwareLevel, DeviceError> {
        match self {
            Self::Volume(volume) => registry::set_volume(source, volume)?,
            Self::Muted(muted) => registry::set_muted(source, muted)?,
        }
        Ok(registry::level(source))
    }
}

impl Core {
    fn set_device_level(&mut self, number: u64, setting: Setting, reply: Reply<()>) {
        let Some(device) = self.table.device_of(number) else {
            let _ = reply.send(Err(EngineError::new(1_006_002, "This device is gone")));
            return;
        };
        if device.kind == DeviceKind::Camera {
            let message = format!("Camera '{}' makes no sound; choose a microphone or a speaker", device.id);
            let _ = reply.send(Err(EngineError::unsupported(&message)));
            return;
        }
        if setting.is_in_hardware(&device) {
            let (table, source) = (self.table.clone(), device.source);
            tokio::spawn(async move {
                let set = super::capture::blocking(move || setting.to_hardware(&source)).await;
                let _ = reply.send(set.map(|level| table.set_hardware(number, level)));
            });
            return;
        }
        self.table.set_software(&device, |level| match setting {
            Setting::Volume(volume) => level.volume = volume,
            Setting::Muted(muted) => level.muted = muted,
        });
        if let Some(playback) = &self.playback {
            playback.set_gain(self.table.gain(&DeviceSource::Speaker(playback.sink())));
        }
        let captures = self.captures.clone();
        tokio::spawn(async move {
            captures.apply_gains().await;
            let _ = reply.send(Ok(()));
        });
    }
}

impl Engine {
    /// The device's property Volume, 0 to 100.
    ///
    /// # Errors
    /// 1000017 out of range, 1000006 for a camera, 1006002 for a device that is gone, what the device says.
    pub async fn set_device_volume(&self, number: u64, volume: i32) -> Result<(), EngineError> {
        let volume = u8::try_from(volume).ok().filter(|volume| *volume <= 100);
        let volume = volume.ok_or_else(|| EngineError::argument("The volume of a device is 0 to 100"))?;
        self.ask(move |core, reply| core.set_device_level(number, Setting::Volume(volume), reply)).await
    }

    /// The device's property Muted.
    ///
    /// # Errors
    /// 1000006 for a camera, 1006002 for a device that is gone, what the device says.
    pub async fn set_device_muted(&self, number: u64, muted: bool) -> Result<(), EngineError> {
        self.ask(move |core, reply| core.set_device_level(number, Setting::Muted(muted), reply)).await
    }
}
