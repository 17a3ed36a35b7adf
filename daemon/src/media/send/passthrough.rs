//! A camera that encodes by itself: its access units go out as they are.

use crate::media::rtp::h264::{self, IDR, PPS, SPS};

/// Decides which access units can be sent, and completes key frames with their parameter sets.
#[derive(Debug, Default)]
pub(super) struct Passthrough {
    /// A key frame was sent and everything since then.
    running: bool,
    sps: Vec<u8>,
    pps: Vec<u8>,
}

impl Passthrough {
    /// Something was not sent: go on with the next key frame.
    pub(super) const fn interrupt(&mut self) {
        self.running = false;
    }

    /// Gives the NAL units to be sent for an access unit in Annex B to `each`. `None` = nothing yet, `Some(true)` = a key frame.
    pub(super) fn units<'a>(&'a mut self, access_unit: &'a [u8], mut each: impl FnMut(&'a [u8])) -> Option<bool> {
        let (mut key, mut sps, mut pps) = (false, None, None);
        for unit in h264::nal_units(access_unit) {
            match unit[0] & 0x1f {
                IDR => key = true,
                SPS => sps = Some(unit),
                PPS => pps = Some(unit),
                _ => {}
            }
        }
        for (new, kept) in [(sps, &mut self.sps), (pps, &mut self.pps)] {
            if let Some(new) = new
                && new != kept.as_slice()
            {
                *kept = new.to_vec();
            }
        }
        if key && !self.sps.is_empty() {
            self.running = true;
            if sps.is_none() || pps.is_none() {
                each(&self.sps);
                each(&self.pps);
            }
        }
        if !self.running {
            return None;
        }
        h264::nal_units(access_unit).for_each(each);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(types: &[u8]) -> Vec<u8> {
        types.iter().flat_map(|&kind| [0, 0, 0, 1, 0x60 | kind, kind + 100]).collect()
    }

    fn types(passthrough: &mut Passthrough, access_unit: &[u8]) -> Option<(bool, Vec<u8>)> {
        let mut found = Vec::new();
        passthrough.units(access_unit, |unit| found.push(unit[0] & 0x1f)).map(|key| (key, found))
    }

    #[test]
    fn it_starts_with_a_key_frame_that_has_its_parameter_sets() {
        let mut passthrough = Passthrough::default();
        assert_eq!(types(&mut passthrough, &unit(&[1])), None);
        assert_eq!(types(&mut passthrough, &unit(&[5])), None, "nobody can decode it");
        assert_eq!(types(&mut passthrough, &unit(&[7, 8, 5])), Some((true, vec![7, 8, 5])));
        assert_eq!(types(&mut passthrough, &unit(&[1])), Some((false, vec![1])));
        assert_eq!(types(&mut passthrough, &unit(&[5])), Some((true, vec![7, 8, 5])), "completed from before");
        passthrough.interrupt();
        assert_eq!(types(&mut passthrough, &unit(&[1])), None);
        assert_eq!(types(&mut passthrough, &unit(&[9, 5, 5])), Some((true, vec![7, 8, 9, 5, 5])));
    }
}
