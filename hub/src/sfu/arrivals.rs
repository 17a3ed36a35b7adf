//! How many packets of an encoding were on their way, and how many of them never came. What was sent again and came late is not lost.

/// A jump of sequence numbers beyond this is a publisher that began anew, and no loss.
const JUMP: u64 = 10_000;

/// Counts the packets of one encoding.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Highest sequence number (extended) when the count began, and now.
    span: Option<(u64, u64)>,
    came: u64,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Packets on their way.
    pub expected: u64,
    /// Of them, those that did not come.
    pub lost: u64,
}

impl Arrived {
    /// Both together.
    pub fn and(self, other: Arrived) -> Arrived {
        Arrived { expected: self.expected + other.expected, lost: self.lost + other.lost }
    }
}

impl Arrivals {
    /// A packet came for the first time; `sequence` does not wrap.
    pub fn hear(&mut self, sequence: u64) {
        match &mut self.span {
            Some((_, highest)) if sequence.abs_diff(*highest) <= JUMP => {
                *highest = sequence.max(*highest);
                self.came += 1;
            }
            // The one before it is where the count begins.
            _ => (self.span, self.came) = (Some((sequence.saturating_sub(1), sequence)), 1),
        }
    }

    /// Whether packets between this one and those before it have not come. They may come yet.
    pub fn misses(&self, sequence: u64) -> bool {
        self.span.is_some_and(|(_, highest)| (highest + 2..=highest + JUMP).contains(&sequence))
    }

    /// What was counted since the last call.
    pub fn take(&mut self) -> Arrived {
        let came = std::mem::take(&mut self.came);
        let Some((begin, highest)) = &mut self.span else { return Arrived::default() };
        let expected = *highest - *begin;
        *begin = *highest;
        Arrived { expected, lost: expected.saturating_sub(came) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_come_is_lost_and_what_comes_late_is_not() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.take(), Arrived::default());
        for (numbers, expected, lost) in [
            (vec![100, 101, 102], 3, 0),
            (vec![103, 105], 3, 1),
            (vec![106, 108, 107, 109], 4, 0),
            (vec![], 0, 0),
            (vec![111], 2, 1),
            (vec![110, 112], 1, 0),
            (vec![900_000, 900_001], 2, 0),
            (vec![7, 8], 2, 0),
        ] {
            numbers.iter().for_each(|number| arrivals.hear(*number));
            assert_eq!(arrivals.take(), Arrived { expected, lost }, "{numbers:?}");
        }
    }
}
