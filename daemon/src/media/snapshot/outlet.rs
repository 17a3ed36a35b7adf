//! Taking one picture out of a camera's stream.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::SnapshotRequest;
use crate::clock::Monotonic;
use crate::media::camera::{CameraCapture, PictureOutlet};
use crate::media::codec::H264Decoder;
use crate::picture::PictureBuffer;

/// Gets pictures of a camera until it has one, or is dropped.
pub(super) struct Waiting {
    camera: CameraCapture,
    outlet: Arc<dyn PictureOutlet>,
}

impl Waiting {
    pub(super) fn new(camera: &CameraCapture, request: SnapshotRequest) -> Self {
        let state = State { request: Some(request), decoder: None };
        let outlet: Arc<dyn PictureOutlet> = Arc::new(Outlet { state: Mutex::new(state) });
        camera.add_outlet(Arc::clone(&outlet));
        Self { camera: camera.clone(), outlet }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.camera.remove_outlet(&self.outlet);
    }
}

struct Outlet {
    state: Mutex<State>,
}

struct State {
    request: Option<SnapshotRequest>,
    /// For a camera that encodes by itself.
    decoder: Option<H264Decoder>,
}

impl Outlet {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PictureOutlet for Outlet {
    fn wants_pictures(&self) -> bool {
        self.state().request.is_some()
    }

    fn picture(&self, picture: Arc<PictureBuffer>, _captured_at: Monotonic) {
        if let Some(request) = self.state().request.take() {
            request.answer(&picture.picture());
        }
    }

    fn access_unit(&self, unit: &[u8], _captured_at: Monotonic) {
        let mut state = self.state();
        let State { request, decoder } = &mut *state;
        if request.is_none() {
            return;
        }
        if decoder.is_none() {
            match H264Decoder::new() {
                Ok(new) => *decoder = Some(new),
                Err(error) => log::warn!("no snapshot: {error}"),
            }
        }
        // Before the camera's next key frame there is nothing to decode.
        if let Some(decoder) = decoder {
            let _ = decoder.decode(unit, |picture| {
                if let Some(request) = request.take() {
                    request.answer(picture);
                }
            });
        }
    }
}
