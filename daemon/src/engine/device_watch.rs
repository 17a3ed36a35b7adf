//! Devices that come, go and fail.

use std::path::PathBuf;

use super::channel::ChannelInput;
use super::core::Core;
use super::devices::is;
use super::error::EngineError;
use super::event::EngineEvent;
use super::handle::{Engine, Task};
use crate::devices::registry::{DeviceInfo, DeviceKind, DeviceSource};
use crate::devices::watch::{Changes, DeviceWatch};

/// The code of a device that went away while it was used.
const UNPLUGGED: i32 = 1_006_006;

impl Core {
    /// A device failed while it was used.
    pub(super) fn device_failed(&mut self, source: &DeviceSource, error: EngineError) {
        let kind = source.kind().as_str();
        log::warn!("{kind}: {error}");
        let is_gone = error.code == UNPLUGGED;
        self.news.tell(EngineEvent::DeviceFailed { kind, number: self.table.number_of(source), error });
        if is_gone {
            self.table.set_unplugged(source);
        }
        self.tell_channels(false, false);
        let (table, tasks) = (self.table.clone(), self.tasks.clone());
        tokio::task::spawn_blocking(move || {
            let came = table.refresh();
            let task: Task = Box::new(move |core| core.take_up(came));
            let _ = tasks.send(task);
        });
    }

    /// A device that is open works again by itself.
    pub(super) fn device_works(&self, source: &DeviceSource) {
        log::info!("{source} works again");
        self.tell_channels(false, false);
    }

    /// Opens devices again that were needed when they failed, now that they can be used.
    fn take_up(&mut self, came: Vec<DeviceInfo>) {
        if came.is_empty() {
            return;
        }
        if let Some(playback) = &self.playback {
            let source = DeviceSource::Speaker(playback.sink());
            if came.iter().any(|device| is(device, &source)) {
                playback.set_gain(self.table.gain(&source));
                playback.resume();
            }
        }
        let (captures, tasks) = (self.captures.clone(), self.tasks.clone());
        tokio::spawn(async move {
            captures.take_up(&came).await;
            let [camera, microphone] =
                [DeviceKind::Camera, DeviceKind::Microphone].map(|kind| came.iter().any(|device| device.kind == kind));
            let task: Task = Box::new(move |core| core.tell_channels(camera, microphone));
            let _ = tasks.send(task);
        });
    }

    /// Tells the channels that devices failed or work again, and whether a camera or a microphone came.
    pub(super) fn tell_channels(&self, camera: bool, microphone: bool) {
        for entry in self.channels.values() {
            entry.channel.tell(ChannelInput::Devices { camera, microphone });
        }
    }
}

impl Engine {
    /// Looks for devices once, and has the engine follow their coming and going from now on; returns when the objects of
    /// those that are there were told of.
    pub async fn watch_devices(&self) {
        let Ok((watch, table)) =
            self.with(|core| Ok((DeviceWatch::start(&core.configured.devices), core.table.clone()))).await
        else {
            return;
        };
        // Bound before the first look: what comes in between is noticed.
        let first = table.clone();
        let _ = tokio::task::spawn_blocking(move || first.refresh()).await;
        let engine = self.clone();
        tokio::spawn(async move {
            loop {
                let nodes = table.nodes();
                watch.watch_nodes(nodes.iter().map(PathBuf::as_path));
                let Changes { devices, .. } = watch.changed().await;
                let table = table.clone();
                let look = move || if devices { table.refresh() } else { table.refresh_holders() };
                let came = tokio::task::spawn_blocking(look).await.unwrap_or_default();
                let taken_up = engine.with(move |core| {
                    core.take_up(came);
                    Ok(())
                });
                if taken_up.await.is_err() {
                    return;
                }
            }
        });
    }
}
