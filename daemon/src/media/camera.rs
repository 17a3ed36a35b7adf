//! One camera for any number of senders and preview views.

use std::sync::Arc;

use super::MediaEvents;
use crate::devices::DeviceError;
use crate::devices::camera::{CameraFormat, CameraSource, CaptureWish};
use crate::views::View;

/// Counters of a camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureStatistics {
    /// Pictures that the camera delivered.
    pub pictures: u64,
    /// Pictures that could not be used: damaged JPEG.
    pub damaged: u64,
}

/// An opened camera. Cheap to clone; the device is released when the last clone is gone (each sender holds one).
#[derive(Clone)]
pub struct CameraCapture {
    _private: (),
}

impl CameraCapture {
    /// Opens the camera and starts its thread. `events` hears of failures.
    ///
    /// # Errors
    /// What opening the device says.
    pub fn start(source: &CameraSource, wish: CaptureWish, events: MediaEvents) -> Result<Self, DeviceError> {
        let _ = (source, wish, events);
        todo!()
    }

    /// Goes on with another camera, or the same one at another size; senders and views stay. When the other one cannot be opened,
    /// the old one goes on (unless both are the same device, or the old one has failed).
    ///
    /// # Errors
    /// What opening the device says.
    pub fn switch(&self, source: &CameraSource, wish: CaptureWish) -> Result<(), DeviceError> {
        let _ = (source, wish);
        todo!()
    }

    /// Releases the device (`false`) without forgetting senders and views, or opens it again (`true`).
    ///
    /// # Errors
    /// What opening the device says.
    pub fn set_enabled(&self, enabled: bool) -> Result<(), DeviceError> {
        let _ = enabled;
        todo!()
    }

    /// What the camera delivers; `None` while it is disabled or has failed.
    #[must_use]
    pub fn format(&self) -> Option<CameraFormat> {
        todo!()
    }

    /// Shows every picture in `view` too, instead of an earlier view of the same id.
    pub fn add_view(&self, view: Arc<dyn View>) {
        drop(view);
        todo!()
    }

    /// Shows no more pictures in the view of this id.
    pub fn remove_view(&self, id: u64) {
        let _ = id;
        todo!()
    }

    /// Counters.
    #[must_use]
    pub fn statistics(&self) -> CaptureStatistics {
        todo!()
    }
}
