//! Counters that wrap (RFC 3550 §5.1), made to go on.

/// Gives every 16-bit sequence number or 32-bit timestamp the number that it would have if it never wrapped.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper {
    newest: Option<i64>,
}

impl Unwrapper {
    /// One that has seen nothing yet.
    pub const NEW: Self = Self { newest: None };

    /// The sequence number nearest to the newest one so far that ends in these 16 bits.
    pub fn sequence(&mut self, value: u16) -> i64 {
        let near = self.near(i64::from(value), |difference| i64::from(difference as i16));
        self.newest = Some(self.newest.map_or(near, |newest| newest.max(near)));
        near
    }

    /// The timestamp nearest to the newest one so far that ends in these 32 bits.
    pub fn timestamp(&mut self, value: u32) -> i64 {
        let near = self.near(i64::from(value), |difference| i64::from(difference as i32));
        self.newest = Some(self.newest.map_or(near, |newest| newest.max(near)));
        near
    }

    /// Like [`Unwrapper::timestamp`] without remembering it.
    #[must_use]
    pub fn peek_timestamp(&self, value: u32) -> i64 {
        self.near(i64::from(value), |difference| i64::from(difference as i32))
    }

    /// Forgets everything: the next value starts anew.
    pub const fn reset(&mut self) {
        self.newest = None;
    }

    fn near(&self, value: i64, wrap: impl Fn(i64) -> i64) -> i64 {
        // The first value starts one turn up, so that what was sent before it does not go below zero.
        self.newest.map_or(value + (1 << 32), |newest| newest + wrap(value - newest))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_go_on_over_the_end_in_both_directions() {
        let mut unwrap = Unwrapper::default();
        let first = unwrap.sequence(65_534);
        let numbers = [65_535, 0, 1, 65_533, 2].map(|n| unwrap.sequence(n) - first);
        assert_eq!(numbers, [1, 2, 3, -1, 4]);
        let mut unwrap = Unwrapper::default();
        let first = unwrap.timestamp(u32::MAX - 99);
        assert_eq!(unwrap.timestamp(860) - first, 960);
        assert_eq!(unwrap.peek_timestamp(u32::MAX) - first, 99);
    }

    proptest! {
        #[test]
        fn any_walk_is_followed(start in any::<u16>(), steps in proptest::collection::vec(-300_i64..3000, 1..200)) {
            let mut unwrap = Unwrapper::default();
            let first = unwrap.sequence(start);
            let (mut truth, mut newest) = (0_i64, 0_i64);
            for step in steps {
                truth = newest + step;
                newest = newest.max(truth);
                prop_assert_eq!(unwrap.sequence((i64::from(start) + truth) as u16) - first, truth);
            }
            let _ = truth;
        }
    }
}
