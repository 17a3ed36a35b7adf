//! The test picture: a moving scene with a bar that a machine can read, and a flash once a second.
//!
//! * At the top lies the bar of [`crate::bar`].
//! * In the first 100 ms of every whole second of CLOCK_MONOTONIC a white square, a quarter of the height, fills the bottom
//!   right corner. The `tone` microphone beeps in the same 100 ms.
//! * Behind them a soft, coloured landscape pans, and a block moves across it. Both depend on the pattern's name.

use std::time::Duration;

use crate::bar;
use crate::clock::Monotonic;
use crate::devices::camera::{Camera, CameraFormat, CaptureWish, Captured, PixelFormat, Pixels};
use crate::devices::pace::{Cadence, sleep_until};
use crate::devices::{DeviceError, name_hash};
use crate::picture::{PictureBuffer, PlanesMut};

const WHITE: u8 = 235;
const NEUTRAL: u8 = 128;
/// Side of the landscape tile, a power of two. Its chroma is half of that.
const TILE: usize = 512;

/// Draws the pictures; knows nothing of clocks.
pub(super) struct Scene {
    luma: Vec<u8>,
    chroma: [Vec<u8>; 2],
    block: [u8; 3],
    pan: (usize, usize),
}

impl Scene {
    pub(super) fn new(name: &str) -> Self {
        let seed = name_hash(name);
        let hue = (seed >> 32) as usize;
        let luma = landscape(TILE, seed, 48, 150, 3);
        let half = TILE / 2;
        let tint = |shift: usize| (hue >> shift & 63) as u8;
        let chroma = [
            landscape(half, seed ^ 0x55, 80 + tint(0) / 2, 44, 0),
            landscape(half, seed ^ 0xaa, 80 + tint(6) / 2, 44, 0),
        ];
        Self {
            luma,
            chroma,
            block: [60 + tint(2) * 2, 64 + tint(8) * 2, 64 + tint(14) * 2],
            pan: (2 + 2 * (hue >> 20 & 1), 2 * (hue >> 21 & 1)),
        }
    }

    /// Draws frame `counter`, made at `time`. The size is even, 40x16 or more.
    pub(super) fn draw(&self, picture: &mut PictureBuffer, counter: u16, time: Monotonic) {
        let (width, height) = (picture.width(), picture.height());
        let step = usize::from(counter);
        let (x, y) = (step * self.pan.0 % TILE, step * self.pan.1 % TILE);
        let PlanesMut { y: luma, u, v } = picture.planes_mut();
        pan(luma, width, &self.luma, TILE, x, y);
        pan(u, width / 2, &self.chroma[0], TILE / 2, x / 2, y / 2);
        pan(v, width / 2, &self.chroma[1], TILE / 2, x / 2, y / 2);

        // The block: an eighth of the height, bouncing between the walls below the bar.
        let side = (height / 8).max(2) & !1;
        let at = (
            bounce(step * 6, width - side) & !1,
            (bar::ROWS + bounce(step * 4, height.saturating_sub(bar::ROWS + side))) & !1,
        );
        fill([&mut *luma, &mut *u, &mut *v], width, at, side, self.block);

        if time.as_nanos() % 1_000_000_000 < 100_000_000 {
            let side = (height / 4) & !1;
            fill([&mut *luma, &mut *u, &mut *v], width, (width - side, height - side), side, [WHITE, NEUTRAL, NEUTRAL]);
        }

        bar::draw(PlanesMut { y: luma, u, v }, width, counter, time);
    }
}

/// Copies a window of the endless tile, whose top left corner is at `x`, `y`.
fn pan(plane: &mut [u8], width: usize, tile: &[u8], side: usize, x: usize, y: usize) {
    for (index, row) in plane.chunks_exact_mut(width).enumerate() {
        let source = &tile[(y + index) % side * side..][..side];
        let mut from = x;
        let mut rest = row;
        while !rest.is_empty() {
            let length = rest.len().min(side - from);
            let (now, later) = rest.split_at_mut(length);
            now.copy_from_slice(&source[from..from + length]);
            (rest, from) = (later, 0);
        }
    }
}

/// Fills a square of all three planes; everything is even.
fn fill(planes: [&mut [u8]; 3], width: usize, (x, y): (usize, usize), side: usize, colour: [u8; 3]) {
    for (index, (plane, value)) in planes.into_iter().zip(colour).enumerate() {
        let half = if index == 0 { 1 } else { 2 };
        for row in plane.chunks_exact_mut(width / half).skip(y / half).take(side / half) {
            row[x / half..][..side / half].fill(value);
        }
    }
}

/// A point that moves to and fro between 0 and `limit`.
const fn bounce(way: usize, limit: usize) -> usize {
    if limit == 0 {
        return 0;
    }
    let phase = way % (2 * limit);
    if phase < limit { phase } else { 2 * limit - phase }
}

/// A seamless tile of smooth noise of three scales: hills, as it were, around `base`, `range` high, with a little `grain`.
fn landscape(side: usize, seed: u64, base: u8, range: u32, grain: u32) -> Vec<u8> {
    let mut sums = vec![0_u32; side * side];
    for (octave, cell) in [side / 4, side / 8, side / 32].into_iter().enumerate() {
        let cells = side / cell;
        let corner = |x: usize, y: usize| {
            (mix(seed ^ ((octave << 40) | ((y % cells) << 20) | (x % cells)) as u64) & 0xff) as u32
        };
        for y in 0..side {
            let (below, fy) = (y / cell, (y % cell) as u32);
            for left in 0..cells {
                let [a, b, c, d] = [
                    corner(left, below),
                    corner(left + 1, below),
                    corner(left, below + 1),
                    corner(left + 1, below + 1),
                ];
                let size = cell as u32;
                let (start, end) = (a * (size - fy) + c * fy, b * (size - fy) + d * fy);
                for (fx, sum) in (0..size).zip(&mut sums[y * side + left * cell..][..cell]) {
                    *sum += ((start * (size - fx) + end * fx) / (size * size)) >> octave;
                }
            }
        }
    }
    // Three octaves of 255, 127 and 63 at most.
    let pixel = |(index, sum): (usize, &u32)| {
        let noise = if grain == 0 { 0 } else { mix(seed ^ index as u64) as u32 % grain };
        (u32::from(base) + sum * range / 445 + noise).min(235) as u8
    };
    sums.iter().enumerate().map(pixel).collect()
}

/// Scrambles a number (the finalizer of SplitMix64).
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// The camera `pattern[:NAME]`.
pub(super) struct PatternCamera {
    scene: Scene,
    picture: PictureBuffer,
    cadence: Cadence,
    fps: u32,
    counter: u16,
}

impl PatternCamera {
    pub(super) fn open(device: &str, name: &str, wish: &CaptureWish) -> Result<Self, DeviceError> {
        let (width, height) = (wish.width as usize & !1, wish.height as usize & !1);
        let sides = 40..=8192;
        if !sides.contains(&width) || !sides.contains(&height) || !(1..=240).contains(&wish.fps) {
            return Err(DeviceError::UnsupportedFormat {
                device: device.to_owned(),
                reason: format!(
                    "it makes pictures of 40x40 to 8192x8192 at 1 to 240 per second, not {}x{} at {}",
                    wish.width, wish.height, wish.fps
                ),
            });
        }
        Ok(Self {
            scene: Scene::new(name),
            picture: PictureBuffer::new(width, height),
            cadence: Cadence::new(Monotonic::now(), wish.fps, 1),
            fps: wish.fps,
            counter: 0,
        })
    }
}

impl Camera for PatternCamera {
    fn format(&self) -> CameraFormat {
        CameraFormat {
            pixels: PixelFormat::I420,
            width: self.picture.width() as u32,
            height: self.picture.height() as u32,
            fps: f64::from(self.fps),
        }
    }

    fn next(&mut self, timeout: Duration) -> Result<Option<Captured<'_>>, DeviceError> {
        let (due, limit) = (self.cadence.deadline(), Monotonic::now() + timeout);
        sleep_until(due.min(limit));
        if due > limit {
            return Ok(None);
        }
        let now = Monotonic::now();
        self.cadence.advance(now);
        self.scene.draw(&mut self.picture, self.counter, now);
        self.counter = self.counter.wrapping_add(1);
        Ok(Some(Captured {
            pixels: Pixels::I420(self.picture.picture()),
            width: self.picture.width() as u32,
            height: self.picture.height() as u32,
            captured_at: now,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luma(picture: &PictureBuffer) -> &[u8] {
        &picture.bytes()[..picture.width() * picture.height()]
    }

    #[test]
    fn the_square_is_white_in_the_first_tenth_of_a_second_only() {
        let mut picture = PictureBuffer::new(640, 480);
        let scene = Scene::new("");
        let corner = |picture: &PictureBuffer| {
            (360..480).all(|row| luma(picture)[row * 640 + 520..row * 640 + 640].iter().all(|&value| value == 235))
        };
        for (nanos, white) in [(0, true), (99_999_999, true), (100_000_000, false), (999_999_999, false)] {
            scene.draw(&mut picture, 9, Monotonic::from_nanos(7_000_000_000 + nanos));
            assert_eq!(corner(&picture), white, "{nanos}");
        }
        scene.draw(&mut picture, 9, Monotonic::from_millis(7_000));
        assert_ne!(luma(&picture)[359 * 640 + 600], 235, "the square is a quarter of the height");
    }

    #[test]
    fn pictures_move_and_names_differ() {
        let draw = |name: &str, counter| {
            let mut picture = PictureBuffer::new(320, 240);
            Scene::new(name).draw(&mut picture, counter, Monotonic::from_millis(500));
            picture.bytes()[320 * 16..].to_vec()
        };
        let apart = |a: &[u8], b: &[u8]| a.iter().zip(b).filter(|(a, b)| a.abs_diff(**b) > 4).count();
        let first = draw("", 1);
        assert_eq!(first, draw("", 1));
        assert!(apart(&first, &draw("", 4)) > 5_000, "it moves");
        assert!(apart(&first, &draw("2", 1)) > 50_000, "names differ");
    }

    #[test]
    fn a_picture_is_cheap_to_make() {
        let mut picture = PictureBuffer::new(640, 480);
        let scene = Scene::new("");
        let best = (0..50_u16)
            .map(|counter| {
                let before = Monotonic::now();
                scene.draw(&mut picture, counter, before);
                Monotonic::now().since(before)
            })
            .min();
        assert!(best < Some(Duration::from_millis(1)), "{best:?}");
    }

    #[test]
    fn pictures_come_at_the_rate_with_counters_in_order() {
        let wish = CaptureWish { width: 160, height: 120, fps: 100 };
        let mut camera = PatternCamera::open("pattern", "", &wish).unwrap();
        let mut counters = Vec::new();
        let mut times = Vec::new();
        for _ in 0..20 {
            let captured = camera.next(Duration::from_secs(1)).unwrap().unwrap();
            let Pixels::I420(picture) = captured.pixels else { panic!("not I420") };
            let (counter, millis) = bar::read(picture.y.data, 160, 160).unwrap();
            assert_eq!(u64::from(millis), captured.captured_at.as_millis() & 0xffff);
            counters.push(counter);
            times.push(captured.captured_at);
        }
        assert_eq!(counters, (0..20).collect::<Vec<u16>>());
        // 19 periods of 10 ms, none shorter: a busy machine only makes it later.
        assert!(times[19].since(times[0]) >= Duration::from_millis(180));
        assert!(camera.next(Duration::ZERO).unwrap().is_none(), "nothing is due yet");
    }

    #[test]
    fn a_wish_it_cannot_meet_is_refused() {
        for (width, height, fps) in [(0, 480, 30), (640, 0, 30), (640, 480, 0), (38, 40, 30), (10_000, 480, 30)] {
            assert!(PatternCamera::open("pattern", "", &CaptureWish { width, height, fps }).is_err());
        }
    }
}
