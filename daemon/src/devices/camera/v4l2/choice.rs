//! Choosing the format in which a camera meets a wish most cheaply.

use crate::devices::camera::{CaptureWish, PixelFormat};

/// The formats that the send side takes, cheapest to encode first.
pub(super) const SUPPORTED: [([u8; 4], PixelFormat); 4] = [
    (*b"YU12", PixelFormat::I420),
    (*b"NV12", PixelFormat::Nv12),
    (*b"YUYV", PixelFormat::Yuyv),
    (*b"MJPG", PixelFormat::Mjpeg),
];

/// The sizes of one format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    /// One size.
    One(u32, u32),
    /// Any size between the smallest and the largest, in steps.
    Range { width: (u32, u32, u32), height: (u32, u32, u32) },
}

impl Sizes {
    /// The size that comes nearest to a wish.
    pub(super) fn nearest(self, width: u32, height: u32) -> (u32, u32) {
        let near = |wish: u32, (least, most, step): (u32, u32, u32)| {
            let wish = wish.clamp(least, most.max(least));
            wish - (wish - least) % step.max(1)
        };
        match self {
            Self::One(width, height) => (width, height),
            Self::Range { width: widths, height: heights } => (near(width, widths), near(height, heights)),
        }
    }
}

/// One way in which a camera can be run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mode {
    pub(super) fourcc: [u8; 4],
    pub(super) width: u32,
    pub(super) height: u32,
    /// Highest rate; 0 when the camera does not say.
    pub(super) fps: f64,
}

/// The best mode for a wish: the picture's size counts first, then its rate, then the cost of its format.
pub(super) fn choose(modes: &[Mode], wish: &CaptureWish) -> Option<Mode> {
    let best = modes.iter().min_by(|a, b| shortcoming(a, wish).total_cmp(&shortcoming(b, wish)));
    best.copied()
}

fn shortcoming(mode: &Mode, wish: &CaptureWish) -> f64 {
    let ratio = |have: u32, want: u32| f64::from(have.max(1)) / f64::from(want.max(1));
    let (wide, high) = (ratio(mode.width, wish.width), ratio(mode.height, wish.height));
    // One bit for each halving or doubling of the area; enlarging a small picture is worse than reducing a large one.
    let area = (wide * high).log2();
    let size = if area < 0.0 { -2.0 * area } else { area };
    let shape = 2.0 * (wide / high).log2().abs();
    let rate = if mode.fps == 0.0 { 0.0 } else { 2.0 * (1.0 - mode.fps / f64::from(wish.fps)).max(0.0) };
    let cost = SUPPORTED.iter().position(|(fourcc, _)| *fourcc == mode.fourcc).unwrap_or(SUPPORTED.len());
    size + shape + rate + cost as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn mode(fourcc: &[u8; 4], width: u32, height: u32, fps: f64) -> Mode {
        Mode { fourcc: *fourcc, width, height, fps }
    }

    const fn wish(width: u32, height: u32, fps: u32) -> CaptureWish {
        CaptureWish { width, height, fps }
    }

    #[test]
    fn the_cheapest_format_that_meets_the_wish_is_taken() {
        // As a common USB camera has them: raw pictures are slow when they are large.
        let camera = [
            mode(b"MJPG", 640, 480, 30.0),
            mode(b"MJPG", 1280, 720, 30.0),
            mode(b"MJPG", 1920, 1080, 30.0),
            mode(b"YUYV", 320, 240, 30.0),
            mode(b"YUYV", 640, 480, 30.0),
            mode(b"YUYV", 1280, 720, 10.0),
        ];
        for (wanted, expected) in [
            (wish(640, 480, 30), camera[4]),
            (wish(1280, 720, 30), camera[1]),
            (wish(1280, 720, 10), camera[5]),
            (wish(320, 240, 15), camera[3]),
            (wish(1920, 1080, 30), camera[2]),
            (wish(3840, 2160, 30), camera[2]),
            (wish(640, 360, 30), camera[4]),
        ] {
            assert_eq!(choose(&camera, &wanted), Some(expected), "{wanted:?}");
        }
        assert_eq!(choose(&[], &wish(640, 480, 30)), None);
    }

    #[test]
    fn planar_pictures_are_preferred_to_packed_ones() {
        let all = [mode(b"MJPG", 640, 480, 30.0), mode(b"YUYV", 640, 480, 30.0), mode(b"NV12", 640, 480, 30.0)];
        assert_eq!(choose(&all, &wish(640, 480, 30)).unwrap().fourcc, *b"NV12");
        let with_planar = [all[0], all[1], all[2], mode(b"YU12", 640, 480, 0.0)];
        assert_eq!(choose(&with_planar, &wish(640, 480, 30)).unwrap().fourcc, *b"YU12");
    }

    #[test]
    fn a_size_without_its_full_rate_is_better_than_another_size() {
        // The webcam input of the kernel's test driver.
        let camera = [
            mode(b"YUYV", 320, 180, 60.0),
            mode(b"YUYV", 640, 360, 40.0),
            mode(b"YUYV", 640, 480, 25.0),
            mode(b"YUYV", 1280, 720, 12.5),
        ];
        assert_eq!(choose(&camera, &wish(640, 480, 30)), Some(camera[2]));
        assert_eq!(choose(&camera, &wish(640, 360, 30)), Some(camera[1]));
    }

    #[test]
    fn ranges_give_the_nearest_step() {
        let range = Sizes::Range { width: (16, 4096, 2), height: (16, 2160, 4) };
        assert_eq!(range.nearest(641, 479), (640, 476));
        assert_eq!(range.nearest(1, 9999), (16, 2160));
        assert_eq!(Sizes::One(640, 480).nearest(1, 1), (640, 480));
    }
}
