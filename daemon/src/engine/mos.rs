//! How good a voice sounds, from loss and delay: the E-model of ITU-T G.107.

use std::time::Duration;

/// R of a call without any impairment, G.107 with its default values.
const R0: f64 = 93.2;
/// Robustness of Opus against random loss (Bpl). G.113 has no row for Opus; its decoder's concealment and in-band error
/// correction are at least as good as that of the most robust codecs in Appendix I. The equipment impairment Ie is 0.
const BPL: f64 = 10.0;

/// Mean opinion score, 1 (bad) to 4.4. `missing` is the part of the sound that did not come in time and was guessed or
/// left out, 0 to 1; `delay` is that from mouth to ear, as far as it is known.
pub(super) fn mean_opinion_score(missing: f64, delay: Duration) -> f64 {
    let percent = missing.clamp(0.0, 1.0) * 100.0;
    let equipment = 95.0 * percent / (percent + BPL);
    let delay = delay.as_secs_f64() * 1000.0;
    // The delay impairment Id without echo, as the usual approximation has it (Cole and Rosenbluth, 2001).
    let late = 0.024 * delay + if delay > 177.3 { 0.11 * (delay - 177.3) } else { 0.0 };
    let r = (R0 - equipment - late).clamp(0.0, 100.0);
    // G.107, Annex B.
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_fall_with_loss_and_delay() {
        for (missing, delay, least, most) in [
            (0.0, 0, 4.39, 4.42),
            (0.0, 100, 4.3, 4.4),
            (0.0, 400, 3.0, 3.6),
            (0.02, 50, 3.6, 4.1),
            (0.1, 50, 2.1, 2.5),
            (1.0, 0, 1.0, 1.1),
        ] {
            let score = mean_opinion_score(missing, Duration::from_millis(delay));
            assert!((least..=most).contains(&score), "{missing} {delay}: {score}");
        }
    }
}
