//! A channel's devices that come and go by themselves.

use super::inputs::Want;
use super::task::ChannelTask;

impl ChannelTask {
    /// Devices failed or work again, and maybe a `camera` or `microphone` came: what the stream had to begin without is tried again.
    pub(super) fn devices_changed(&mut self, camera: bool, microphone: bool) {
        self.want_what_lacks(camera, microphone);
        // Another camera may have another size.
        self.apply_video_settings();
        self.apply_mutes();
        self.advance();
        self.tell_info(|_| {});
    }

    /// Tries the `camera` or `microphone` again that the stream had to begin without, when its devices are updated next.
    pub(super) fn want_what_lacks(&mut self, camera: bool, microphone: bool) {
        let Some(publisher) = &mut self.publisher else { return };
        let job = &mut publisher.job;
        if camera && job.lacks_camera && job.video == Want::No {
            job.video = Want::IfThere;
        }
        if microphone && job.lacks_microphone && job.audio == Want::No {
            job.audio = Want::IfThere;
        }
    }
}
