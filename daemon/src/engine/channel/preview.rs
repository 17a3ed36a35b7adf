//! A channel's devices: opening and closing them as they are needed, the preview, and changing them.

use std::sync::Arc;

use super::inputs::{ChannelInput, Reply, Want};
use super::task::{ChannelTask, Slot};
use crate::devices::camera::CameraSource;
use crate::devices::microphone::MicrophoneSource;
use crate::engine::capture::{Camera, Microphone};
use crate::engine::error::EngineError;
use crate::views::View;

impl ChannelTask {
    pub(super) fn start_preview(&mut self, view: Option<Arc<dyn View>>, reply: Reply<()>) {
        self.remove_preview_view(view.as_ref().map(|view| view.id()));
        self.previewing = true;
        self.preview = view;
        if !self.camera_enabled {
            let _ = reply.send(Ok(()));
            return;
        }
        self.preview_replies.push(reply);
        self.update_devices();
        if let Slot::Open(camera) = &self.camera {
            self.show_preview(&camera.clone());
        }
    }

    pub(super) fn stop_preview(&mut self) {
        self.remove_preview_view(None);
        self.previewing = false;
        self.preview = None;
        self.update_devices();
    }

    /// Takes the preview out of its view, unless the next one is the same.
    fn remove_preview_view(&mut self, next: Option<u64>) {
        let Some(view) = self.preview.take_if(|view| Some(view.id()) != next) else { return };
        if let Slot::Open(camera) = &self.camera {
            camera.capture().remove_view(view.id());
        }
        view.clear();
    }

    /// Gives the preview's view up: it is destroyed, or somebody else shows something there now.
    pub(super) fn leave_view(&mut self) {
        if let (Some(view), Slot::Open(camera)) = (self.preview.take(), &self.camera) {
            camera.capture().remove_view(view.id());
        }
    }

    fn show_preview(&mut self, camera: &Camera) {
        if let Some(view) = &self.preview {
            camera.capture().add_view(view.clone());
        }
        for reply in self.preview_replies.drain(..) {
            let _ = reply.send(Ok(()));
        }
    }

    /// Opens what is needed and not open, and closes what is open and not needed.
    pub(super) fn update_devices(&mut self) {
        let wants = |want: Option<Want>| want.is_some_and(|want| want != Want::No);
        let wants_camera = self.camera_enabled
            && (self.previewing || wants(self.publisher.as_ref().map(|publisher| publisher.job.video)));
        if wants_camera && self.camera.is_closed() {
            self.open_camera();
        } else if !wants_camera {
            self.camera = Slot::Closed;
            // Who waited for it to open waits no more: it was called off.
            for reply in self.preview_replies.drain(..) {
                let _ = reply.send(Ok(()));
            }
        }
        let wants_microphone =
            self.records_sound() || wants(self.publisher.as_ref().map(|publisher| publisher.job.audio));
        if wants_microphone && self.microphone.is_closed() {
            let serial = self.next_serial();
            self.microphone = Slot::Opening(serial);
            let (captures, source) = (self.captures.clone(), self.microphone_source.clone());
            let channels = self.audio.channels;
            self.spawn(
                async move { ChannelInput::MicrophoneOpened(serial, captures.microphone(source, channels).await) },
            );
        } else if !wants_microphone {
            self.microphone = Slot::Closed;
        }
        self.update_recording();
    }

    fn open_camera(&mut self) {
        let serial = self.next_serial();
        self.camera = Slot::Opening(serial);
        let (captures, source, wish) = (self.captures.clone(), self.camera_source.clone(), self.video.wish);
        self.spawn(async move { ChannelInput::CameraOpened(serial, captures.camera(source, wish).await) });
    }

    pub(super) fn camera_opened(&mut self, serial: u64, result: Result<Camera, EngineError>) {
        if !matches!(self.camera, Slot::Opening(current) if current == serial) {
            return;
        }
        match result {
            Ok(camera) => {
                self.camera = Slot::Open(camera.clone());
                self.show_preview(&camera);
                // Somebody else may have it open with another rate, and the settings may be new.
                self.quicken_camera();
            }
            Err(error) => {
                self.camera = Slot::Closed;
                if self.previewing {
                    self.previewing = false;
                    self.preview = None;
                }
                for reply in self.preview_replies.drain(..) {
                    let _ = reply.send(Err(error.clone()));
                }
                self.no_camera(error);
            }
        }
        self.advance();
    }

    /// Has the camera that is open give as many pictures as are wanted.
    pub(super) fn quicken_camera(&self) {
        if self.camera.open().is_some() {
            let (captures, source, fps) = (self.captures.clone(), self.camera_source.clone(), self.video.wish.fps);
            self.spawn(async move {
                captures.quicken(source, fps).await;
                // It may have another size with another rate.
                ChannelInput::Devices { camera: false, microphone: false }
            });
        }
    }

    pub(super) fn microphone_opened(&mut self, serial: u64, result: Result<Microphone, EngineError>) {
        if !matches!(self.microphone, Slot::Opening(current) if current == serial) {
            return;
        }
        match result {
            Ok(microphone) => self.microphone = Slot::Open(microphone),
            Err(error) => {
                self.microphone = Slot::Closed;
                self.no_sound_to_record();
                self.no_microphone(error);
            }
        }
        self.advance();
    }

    pub(super) fn enable_camera(&mut self, enable: bool, reply: Reply<()>) {
        if enable == self.camera_enabled {
            let _ = reply.send(Ok(()));
            return;
        }
        self.camera_enabled = enable;
        if enable {
            // Answered when the camera is open, as a preview is.
            let is_needed = self.previewing || self.publisher.as_ref().is_some_and(|p| p.job.video != Want::No);
            if is_needed {
                self.preview_replies.push(reply);
            } else {
                let _ = reply.send(Ok(()));
            }
        } else {
            if let (Slot::Open(camera), Some(view)) = (&self.camera, &self.preview) {
                camera.capture().remove_view(view.id());
                view.clear();
            }
            if let Some(publisher) = &mut self.publisher {
                publisher.video_send = None;
            }
            let _ = reply.send(Ok(()));
        }
        self.update_devices();
        self.apply_mutes();
        self.advance();
    }

    pub(super) fn use_camera(&mut self, source: CameraSource, reply: Reply<()>) {
        match &self.camera {
            Slot::Open(camera) => {
                let (captures, camera, wish) = (self.captures.clone(), camera.clone(), self.video.wish);
                let next = source.clone();
                self.spawn(async move {
                    let result = captures.switch_camera(camera, next, wish).await;
                    ChannelInput::CameraSwitched(source, result, reply)
                });
            }
            Slot::Opening(_) | Slot::Closed => {
                let was_opening = matches!(self.camera, Slot::Opening(_));
                self.camera_source = source;
                self.camera = Slot::Closed;
                if was_opening {
                    self.preview_replies.push(reply);
                } else {
                    let _ = reply.send(Ok(()));
                }
                self.want_what_lacks(true, false);
                self.update_devices();
            }
        }
    }

    pub(super) fn camera_switched(
        &mut self,
        source: CameraSource,
        result: Result<Option<Camera>, EngineError>,
        reply: Reply<()>,
    ) {
        let result = result.map(|other| {
            self.camera_source = source;
            if let (Some(other), Slot::Open(camera)) = (other, &self.camera) {
                if let Some(view) = &self.preview {
                    camera.capture().remove_view(view.id());
                }
                // The sender belongs to the old camera; the next step makes one for the new.
                if let Some(publisher) = &mut self.publisher {
                    publisher.video_send = None;
                }
                self.forget_recorded_camera();
                self.camera = Slot::Open(other.clone());
                self.show_preview(&other);
            }
        });
        self.advance();
        self.apply_video_settings();
        self.tell_info(|_| {});
        let _ = reply.send(result);
    }

    pub(super) fn use_microphone(&mut self, source: MicrophoneSource, reply: Reply<()>) {
        match &self.microphone {
            Slot::Open(microphone) => {
                let (captures, microphone) = (self.captures.clone(), microphone.clone());
                let (next, channels) = (source.clone(), self.audio.channels);
                self.spawn(async move {
                    let result = captures.switch_microphone(microphone, next, channels).await;
                    ChannelInput::MicrophoneSwitched(source, result, reply)
                });
            }
            Slot::Opening(_) | Slot::Closed => {
                self.microphone_source = source;
                self.microphone = Slot::Closed;
                self.want_what_lacks(false, true);
                self.update_devices();
                let _ = reply.send(Ok(()));
            }
        }
    }

    pub(super) fn microphone_switched(
        &mut self,
        source: MicrophoneSource,
        result: Result<Option<Microphone>, EngineError>,
        reply: Reply<()>,
    ) {
        let result = result.map(|other| {
            self.microphone_source = source;
            if let Some(other) = other {
                if let Some(publisher) = &mut self.publisher {
                    publisher.audio_send = None;
                }
                self.forget_recorded_microphone();
                self.microphone = Slot::Open(other);
            }
        });
        self.advance();
        self.tell_info(|_| {});
        let _ = reply.send(result);
    }
}
