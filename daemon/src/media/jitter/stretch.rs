//! Making speech a little shorter or longer without a click: whole pitch periods are left out or repeated, with an overlap.
//!
//! Both sides of stereo are cut at the same places, chosen by how well both go on there together: what lies between them stays.

use crate::audio::Channels;

/// Samples over which the old and the new course are mixed: 5 ms.
const OVERLAP: usize = 240;
/// Shortest and longest period that is looked for: 2.5 ms (400 Hz) to 12.5 ms (80 Hz).
const LAGS: std::ops::RangeInclusive<usize> = 120..=600;
/// Samples of each channel that a change needs to look at: 17.5 ms.
pub const NEEDED: usize = 600 + OVERLAP;
/// Peak below which it does not matter where the cut is.
const SILENCE: u16 = 150;

/// Leaves out one period of the first [`NEEDED`] samples of `sound`. Returns how many samples of each channel went; 0 when there
/// are too few, or when a cut would be heard and `must` is not set.
pub fn shorten(sound: &mut Vec<i16>, channels: Channels, must: bool) -> usize {
    let Some(lag) = best_lag(sound, channels, must) else { return 0 };
    let (overlap, width) = (OVERLAP * channels.count(), channels.count());
    for i in 0..overlap {
        sound[i] = mix(sound[i], sound[i + lag * width], i / width);
    }
    sound.drain(overlap..overlap + lag * width);
    lag
}

/// Repeats one period of the first [`NEEDED`] samples of `sound`. Returns how many samples of each channel came; 0 as for
/// [`shorten`].
pub fn lengthen(sound: &mut Vec<i16>, channels: Channels, must: bool) -> usize {
    let Some(lag) = best_lag(sound, channels, must) else { return 0 };
    let (overlap, width) = (OVERLAP * channels.count(), channels.count());
    let mut start: Vec<i16> = sound[..lag * width + overlap].to_vec();
    for i in 0..overlap {
        start[lag * width + i] = mix(start[lag * width + i], sound[i], i / width);
    }
    sound.splice(..overlap, start);
    lag
}

/// From `old` to `new` over the overlap.
fn mix(old: i16, new: i16, i: usize) -> i16 {
    let (i, all) = (i as i32, OVERLAP as i32);
    ((i32::from(old) * (all - i) + i32::from(new) * i) / all) as i16
}

fn best_lag(sound: &[i16], channels: Channels, must: bool) -> Option<usize> {
    let window = sound.get(..NEEDED * channels.count())?;
    if window.iter().map(|sample| sample.unsigned_abs()).max() <= Some(SILENCE) {
        return Some(480);
    }
    match channels {
        Channels::Mono => best_of(window.as_chunks::<1>().0, must),
        Channels::Stereo => best_of(window.as_chunks::<2>().0, must),
    }
}

fn best_of<const N: usize>(window: &[[i16; N]], must: bool) -> Option<usize> {
    // Every fourth sample and lag is enough to find the period; the neighbours decide then.
    let coarse = LAGS.step_by(4).map(|lag| (likeness(window, lag, 4), lag)).max_by(|a, b| a.0.total_cmp(&b.0))?.1;
    let near = coarse.saturating_sub(3).max(*LAGS.start())..=(coarse + 3).min(*LAGS.end());
    let (likeness, lag) = near.map(|lag| (likeness(window, lag, 2), lag)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (must || likeness > 0.7).then_some(lag)
}

/// Normalised correlation of the overlap, over all its channels, with what lies `lag` later, -1 to 1.
fn likeness<const N: usize>(sound: &[[i16; N]], lag: usize, step: usize) -> f32 {
    let (mut product, mut here, mut there) = (0.0_f32, 1.0_f32, 1.0_f32);
    for i in (0..OVERLAP).step_by(step) {
        for (&a, &b) in sound[i].iter().zip(&sound[i + lag]) {
            let (a, b) = (f32::from(a), f32::from(b));
            product += a * b;
            here += a * a;
            there += b * b;
        }
    }
    product / (here * there).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hertz: f64, samples: usize) -> Vec<i16> {
        (0..samples).map(|i| (8000.0 * (i as f64 * hertz / 48_000.0 * std::f64::consts::TAU).sin()) as i16).collect()
    }

    /// The greatest step between neighbours: a click shows here.
    fn steepest(sound: &[i16]) -> i32 {
        sound.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
    }

    #[test]
    fn both_sides_are_cut_and_repeated_at_the_same_places_without_a_click() {
        // Periods of 10 ms and of 5 ms.
        let (left, right) = (tone(100.0, 1920), tone(200.0, 1920));
        for change in [shorten, lengthen] {
            let mut sound: Vec<i16> = left.iter().zip(&right).flat_map(|(&left, &right)| [left, right]).collect();
            let samples = change(&mut sound, Channels::Stereo, false);
            assert_eq!(samples, 480, "the period that both have");
            assert_eq!(sound.len().abs_diff(2 * 1920), 2 * samples);
            for (side, original) in [(0, &left), (1, &right)] {
                let heard: Vec<i16> = sound.iter().copied().skip(side).step_by(2).collect();
                assert!(steepest(&heard) <= steepest(original) + 2, "side {side}");
                let same = heard.iter().zip(original).filter(|(a, b)| a.abs_diff(**b) <= 2).count();
                assert_eq!(same, heard.len().min(original.len()), "side {side} is the same tone");
            }
            // What one side is of the other, it still is.
            let mut opposite: Vec<i16> = tone(147.0, 1920).into_iter().flat_map(|sample| [sample, -sample]).collect();
            assert!(change(&mut opposite, Channels::Stereo, false) > 0);
            assert!(opposite.as_chunks::<2>().0.iter().all(|&[left, right]| left == -right));
        }
    }

    #[test]
    fn tones_are_cut_and_repeated_without_a_click() {
        for hertz in [90.0, 147.0, 200.0, 333.3, 1000.0] {
            let original = tone(hertz, 1920);
            let steep = steepest(&original);
            for change in [shorten, lengthen] {
                let mut sound = original.clone();
                let samples = change(&mut sound, Channels::Mono, false);
                assert!(LAGS.contains(&samples), "{hertz} Hz: {samples}");
                assert_eq!(sound.len().abs_diff(original.len()), samples);
                assert!(steepest(&sound) <= steep + steep / 4 + 2, "{hertz} Hz: {} for {steep}", steepest(&sound));
            }
        }
    }

    #[test]
    fn noise_is_left_alone_unless_it_must_be() {
        let mut state = 1_u32;
        let noise: Vec<i16> = (0..1920)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) as i16
            })
            .collect();
        let mut sound = noise.clone();
        assert_eq!(shorten(&mut sound, Channels::Mono, false), 0);
        assert_eq!(sound, noise);
        assert!(shorten(&mut sound, Channels::Mono, true) > 0);
    }

    #[test]
    fn silence_changes_by_ten_milliseconds_and_too_little_sound_not_at_all() {
        let mut sound = vec![3; 960];
        assert_eq!(shorten(&mut sound, Channels::Mono, false), 480);
        assert_eq!(lengthen(&mut vec![0; 960], Channels::Mono, false), 480);
        assert_eq!(shorten(&mut vec![0; NEEDED - 1], Channels::Mono, true), 0);
        assert_eq!(sound.len(), 480);
    }
}
