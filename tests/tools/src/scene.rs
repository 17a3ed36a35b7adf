//! A synthetic reference scene: somebody talking in front of a shelf, filmed by hand.
//!
//! Integers only, so that it is the same on every machine. It has what makes real pictures costly to encode: motion
//! by fractions of a pixel, fine texture, edges that get uncovered, and sensor noise; and it loops without a jump.

/// Side of the textures, a power of two; they wrap around.
const SIDE: usize = 1024;
/// Positions in a texture are in 1/64 pixel.
const FINE: i32 = 64;

/// The scene, to be painted at one size.
#[derive(Debug)]
pub struct Scene {
    width: usize,
    height: usize,
    frames: u32,
    wall: Vec<u8>,
    skin: Vec<u8>,
    cloth: Vec<u8>,
}

/// An ellipse, in pixels.
#[derive(Clone, Copy)]
struct Ellipse {
    x: i32,
    y: i32,
    half_width: i32,
    half_height: i32,
}

impl Ellipse {
    const fn contains(self, x: i32, y: i32) -> bool {
        let (dx, dy) = ((x - self.x) as i64, (y - self.y) as i64);
        let (a, b) = (self.half_width as i64, self.half_height as i64);
        dx * dx * b * b + dy * dy * a * a <= a * a * b * b
    }
}

/// Where everything is in one frame.
struct Pose {
    /// Of the wall's texture, in 1/64 pixel.
    pan: (i32, i32),
    head: Ellipse,
    mouth: Ellipse,
    eyes: [Ellipse; 2],
    hand: Ellipse,
    body: Ellipse,
    /// Brightness, 256 = as painted.
    light: i32,
}

/// What a pixel shows.
#[derive(Clone, Copy)]
enum Thing {
    Wall,
    Head,
    Feature,
    Hand,
    Body,
}

impl Scene {
    /// A scene that loops after `frames` frames. `width` and `height` are even.
    #[must_use]
    pub fn new(width: usize, height: usize, frames: u32) -> Self {
        let mut wall = texture(11, 40);
        shelve(&mut wall);
        Self { width, height, frames: frames.max(1), wall, skin: texture(23, 14), cloth: texture(37, 26) }
    }

    /// Paints frame `number` as I420.
    pub fn paint(&self, number: u32, picture: &mut [u8]) {
        let pose = self.pose(number);
        let (width, height) = (self.width, self.height);
        let (luma, chroma) = picture.split_at_mut(width * height);
        let (blue, red) = chroma.split_at_mut(width * height / 4);
        let mut noise = Noise(u64::from(number) << 32 | 0x5eed);
        for (y, row) in luma.chunks_exact_mut(width).enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                let (x, y) = (to_i32(x), to_i32(y));
                let level = self.level(pose.thing(x, y), x, y, &pose) * pose.light / 256 + noise.next();
                *pixel = to_u8(level.clamp(16, 235));
            }
        }
        for y in 0..height / 2 {
            for x in 0..width / 2 {
                let at = y * width / 2 + x;
                let (x, y) = (to_i32(x * 2), to_i32(y * 2));
                let (b, r) = self.colour(pose.thing(x, y), x, y, &pose);
                blue[at] = to_u8((b + noise.next() / 2).clamp(16, 240));
                red[at] = to_u8((r + noise.next() / 2).clamp(16, 240));
            }
        }
    }

    fn pose(&self, number: u32) -> Pose {
        let (width, height) = (to_i32(self.width), to_i32(self.height));
        // `cycles` whole swings in a loop, between -`reach` and `reach` thousandths of `of`.
        let swing = |cycles: u32, reach: i32, of: i32| wave(cycles * number, self.frames) * reach / 1000 * of / 1000;
        let head = Ellipse {
            x: width / 2 + swing(2, 40, width) + swing(7, 6, width),
            y: height * 2 / 5 + swing(3, 14, height),
            half_width: width / 9,
            half_height: height / 4,
        };
        let mouth = Ellipse {
            x: head.x,
            y: head.y + head.half_height / 2,
            half_width: head.half_width / 3,
            half_height: height / 160 + (swing(29, 18, height) + swing(41, 10, height)).abs(),
        };
        let eye = |side: i32| Ellipse {
            x: head.x + side * head.half_width * 2 / 5,
            y: head.y - head.half_height / 6,
            half_width: head.half_width / 7,
            half_height: head.half_height / 14,
        };
        Pose {
            // A slow pan, and the trembling of the hand that holds the camera.
            pan: (
                swing(1, 60, width * FINE) + swing(17, 2, width * FINE),
                swing(2, 12, height * FINE) + swing(13, 2, height * FINE),
            ),
            head,
            mouth,
            eyes: [eye(-1), eye(1)],
            hand: Ellipse {
                x: width * 7 / 10 + swing(9, 70, width),
                y: height * 7 / 10 + swing(8, 150, height),
                half_width: width / 22,
                half_height: height / 12,
            },
            body: Ellipse { x: head.x, y: height * 21 / 20, half_width: width / 4, half_height: height * 2 / 5 },
            light: 256 + swing(2, 20, 256),
        }
    }

    fn level(&self, thing: Thing, x: i32, y: i32, pose: &Pose) -> i32 {
        // The same scene at any size: smaller pictures step through the textures faster.
        let step = 1280 * FINE / to_i32(self.width);
        match thing {
            Thing::Wall => sample(&self.wall, x * step + pose.pan.0, y * step + pose.pan.1) * 3 / 4 + 24,
            Thing::Head => 30 + sample(&self.skin, (x - pose.head.x) * step, (y - pose.head.y) * step),
            Thing::Hand => 35 + sample(&self.skin, (x - pose.hand.x) * step, (y - pose.hand.y) * step),
            Thing::Body => sample(&self.cloth, (x - pose.body.x) * step, (y - pose.body.y) * step) - 50,
            Thing::Feature => 50,
        }
    }

    fn colour(&self, thing: Thing, x: i32, y: i32, pose: &Pose) -> (i32, i32) {
        let step = 1280 * FINE / to_i32(self.width);
        match thing {
            Thing::Wall => {
                let paint = sample(&self.cloth, (x * step + pose.pan.0) / 4, (y * step + pose.pan.1) / 4) - 128;
                (126 + paint / 3, 130 - paint / 4)
            }
            Thing::Head | Thing::Hand => (108, 150),
            Thing::Body => (150, 112),
            Thing::Feature => (120, 150),
        }
    }
}

impl Pose {
    fn thing(&self, x: i32, y: i32) -> Thing {
        if self.hand.contains(x, y) {
            Thing::Hand
        } else if self.head.contains(x, y) {
            if self.mouth.contains(x, y) || self.eyes.iter().any(|eye| eye.contains(x, y)) {
                Thing::Feature
            } else {
                Thing::Head
            }
        } else if self.body.contains(x, y) {
            Thing::Body
        } else {
            Thing::Wall
        }
    }
}

/// `sin(2 pi phase / period)` times 1000, by a parabola for each half: no floating point.
fn wave(phase: u32, period: u32) -> i32 {
    let at = i64::from(phase % period) * 2000 / i64::from(period);
    let (sign, half) = if at < 1000 { (1, at) } else { (-1, at - 1000) };
    i32::try_from(sign * half * (1000 - half) * 4 / 1000).unwrap_or(0)
}

/// A wrapping texture around 128: noise on grids of falling size. `depth` is the coarsest grid's reach.
fn texture(seed: u32, depth: i32) -> Vec<u8> {
    let mut sums = vec![128_i32; SIDE * SIDE];
    for octave in 0..7_u32 {
        let cell = 256_usize >> octave;
        let reach = depth * 5 / (5 + to_i32(octave as usize) * 3);
        let cells = SIDE / cell;
        let corner = |x: usize, y: usize| {
            let number = to_u32((y % cells) * cells + x % cells);
            to_i32(mix(seed ^ octave << 24 ^ number) as usize & 255) - 128
        };
        for y in 0..SIDE {
            let (row, down) = (y / cell, to_i32(y % cell * 256 / cell));
            for x in 0..SIDE {
                let (column, across) = (x / cell, to_i32(x % cell * 256 / cell));
                let top = corner(column, row) * (256 - across) + corner(column + 1, row) * across;
                let bottom = corner(column, row + 1) * (256 - across) + corner(column + 1, row + 1) * across;
                sums[y * SIDE + x] += (top * ((256 - down) / 16) + bottom * (down / 16)) / 4096 * reach / 128;
            }
        }
    }
    sums.into_iter().map(|level| to_u8(level.clamp(0, 255))).collect()
}

/// Paints boards and the backs of books over a texture: straight edges.
fn shelve(texture: &mut [u8]) {
    for (y, row) in texture.chunks_exact_mut(SIDE).enumerate() {
        let shelf = to_u32(y / 128);
        for (x, pixel) in row.iter_mut().enumerate() {
            let book = to_u32(x) / (16 + mix(shelf) % 16);
            let tone = to_i32(mix(shelf << 16 ^ book) as usize % 72) - 36;
            let board = if y % 128 < 8 { -45 } else { 0 };
            *pixel = to_u8((i32::from(*pixel) + tone + board).clamp(0, 255));
        }
    }
}

/// The texture at a position in 1/64 pixel, between its four neighbours.
fn sample(texture: &[u8], x: i32, y: i32) -> i32 {
    let at = |x: i32, y: i32| {
        let wrap = |v: i32| usize::try_from(v.rem_euclid(to_i32(SIDE))).unwrap_or(0);
        i32::from(texture[wrap(y) * SIDE + wrap(x)])
    };
    let (column, row) = (x.div_euclid(FINE), y.div_euclid(FINE));
    let (across, down) = (x.rem_euclid(FINE), y.rem_euclid(FINE));
    let top = at(column, row) * (FINE - across) + at(column + 1, row) * across;
    let bottom = at(column, row + 1) * (FINE - across) + at(column + 1, row + 1) * across;
    (top * (FINE - down) + bottom * down) / (FINE * FINE)
}

/// A hash of 32 bits (the finaliser of MurmurHash3).
const fn mix(value: u32) -> u32 {
    let mut value = value.wrapping_add(0x9e37_79b9);
    value = (value ^ (value >> 16)).wrapping_mul(0x85eb_ca6b);
    value = (value ^ (value >> 13)).wrapping_mul(0xc2b2_ae35);
    value ^ (value >> 16)
}

/// Sensor noise: -3 to 3, small values more often.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> i32 {
        // xorshift64 (Marsaglia 2003)
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bits = (self.0 >> 40) & 0xff;
        to_i32(usize::try_from((bits & 3) + (bits >> 2 & 3)).unwrap_or(3)) - 3
    }
}

fn to_i32(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn to_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn to_u8(value: i32) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scene_moves_and_loops() {
        let scene = Scene::new(160, 120, 30);
        let mut frames: Vec<Vec<u8>> = Vec::new();
        for number in [0, 5, 30] {
            let mut picture = vec![0; 160 * 120 * 3 / 2];
            scene.paint(number, &mut picture);
            frames.push(picture);
        }
        let change = |a: &[u8], b: &[u8]| {
            a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>() / u32::try_from(a.len()).unwrap_or(1)
        };
        assert!(change(&frames[0], &frames[1]) >= 4, "the picture moves");
        assert!(change(&frames[0], &frames[2]) <= 2, "only the noise differs after a loop");
    }

    #[test]
    fn a_wave_swings_between_its_ends() {
        let values: Vec<i32> = (0..100).map(|phase| wave(phase, 100)).collect();
        assert_eq!((values[0], values[25], values[50], values[75]), (0, 1000, 0, -1000));
    }
}
