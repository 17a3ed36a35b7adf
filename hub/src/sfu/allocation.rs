//! How one subscriber's bandwidth is shared among the tracks that it gets.
//!
//! Sound and tracks with one encoding come first and are never held back. Of what is left every picture gets its smallest layer, more important ones
//! first; what finds no room is to be paused. Then they rise step by step in turn.

/// A simulcast that a subscriber gets.
#[derive(Debug, Clone)]
pub struct Demand {
    /// More important ones are higher.
    pub priority: u32,
    /// Rank and bit rate (bit/s) of each layer that flows and that the subscriber has a use for, ascending; not empty.
    pub layers: Vec<(u8, u64)>,
    /// Rank that it has now; `None` while it is paused.
    pub granted: Option<u8>,
    /// It rose just now: the key frame with which that began is still in the rates, and the estimate has not settled.
    pub is_settling: bool,
}

/// What each track gets, and what would be needed for more.
#[derive(Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Rank for each demand, in their order; `None` where nothing fits.
    pub ranks: Vec<Option<u8>>,
    /// Bit rate at which the next step up would be possible; `None` when everything has its best layer.
    pub next: Option<u64>,
    /// Bit rate of everything at its best.
    pub best: u64,
}

/// A rise needs a sixth more than the layer's rate, so that it is not taken back at once.
fn with_margin(rate: u64) -> u64 {
    rate + rate / 6
}

/// What flows and cannot be made smaller is kept down to three quarters of what it needs: an estimate sinks below the
/// real rate for moments, and a pause is worse than a late picture.
fn with_tolerance(rate: u64) -> u64 {
    rate - rate / 4
}

/// Shares `budget`, of which `fixed` is taken already (both bit/s).
pub fn allocate(budget: u64, fixed: u64, demands: &[Demand]) -> Allocation {
    let mut order: Vec<usize> = (0..demands.len()).collect();
    order.sort_by_key(|n| std::cmp::Reverse(demands[*n].priority));
    // Layers that each has; none at first.
    let mut steps = vec![0usize; demands.len()];
    let mut used = fixed;
    let mut next: Option<u64> = None;
    let miss = |next: &mut Option<u64>, needed: u64| *next = Some(next.map_or(needed, |known| known.min(needed)));
    for n in &order {
        let Some((_, rate)) = demands[*n].layers.first() else { continue };
        let total = used + rate;
        let flows = demands[*n].granted.is_some();
        if (if flows { with_tolerance(total) } else { with_margin(total) }) <= budget {
            (used, steps[*n]) = (total, 1);
        } else {
            miss(&mut next, with_margin(total));
        }
    }
    loop {
        let mut raised = false;
        for n in &order {
            let Some(now) = steps[*n].checked_sub(1) else { continue };
            let layers = &demands[*n].layers;
            let (Some(now), Some(better)) = (layers.get(now), layers.get(now + 1)) else { continue };
            let total = (used + better.1).saturating_sub(now.1);
            let needed = match demands[*n].granted.is_none_or(|granted| better.0 > granted) {
                true => with_margin(total),
                false if demands[*n].is_settling => with_tolerance(total),
                false => total,
            };
            if needed <= budget {
                (used, raised) = (total, true);
                steps[*n] += 1;
            }
        }
        if !raised {
            break;
        }
    }
    for (demand, step) in demands.iter().zip(&steps).filter(|(_, step)| **step > 0) {
        if let (Some(now), Some(better)) = (demand.layers.get(step - 1), demand.layers.get(*step)) {
            miss(&mut next, with_margin((used + better.1).saturating_sub(now.1)));
        }
    }
    let rank = |(demand, step): (&Demand, &usize)| Some(demand.layers.get(step.checked_sub(1)?)?.0);
    let best = fixed + demands.iter().filter_map(|d| d.layers.last()).map(|l| l.1).sum::<u64>();
    let ranks = demands.iter().zip(&steps).map(rank).collect();
    Allocation { ranks, next, best: with_margin(best) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(priority: u32, granted: u8) -> Demand {
        Demand {
            priority,
            layers: vec![(1, 150_000), (2, 500_000), (3, 1_700_000)],
            granted: Some(granted),
            is_settling: false,
        }
    }

    fn ranks(budget: u64, demands: &[Demand]) -> Vec<u8> {
        allocate(budget, 0, demands).ranks.into_iter().map(|rank| rank.unwrap_or(0)).collect()
    }

    #[test]
    fn one_simulcast_gets_the_best_layer_that_fits_beside_the_sound() {
        let cases: &[(u64, u8, Option<u8>)] = &[
            (3_000_000, 3, Some(3)),
            (1_750_000, 3, Some(3)),
            (1_750_000, 2, Some(2)),
            (2_100_000, 2, Some(3)),
            (700_000, 3, Some(2)),
            (500_000, 3, Some(1)),
            (150_000, 1, Some(1)),
            (130_000, 1, None),
            (10_000, 3, None),
        ];
        for (budget, granted, expected) in cases {
            let got = allocate(*budget, 40_000, &[demand(0, *granted)]);
            assert_eq!(got.ranks, [*expected], "{budget} bit/s from layer {granted}");
        }
    }

    #[test]
    fn what_rose_just_now_is_not_taken_back_for_a_moments_dip() {
        for (budget, is_settling, expected) in [(1_500_000, true, 3), (1_500_000, false, 2), (1_200_000, true, 2)] {
            let risen = Demand { is_settling, ..demand(0, 3) };
            let got = allocate(budget, 40_000, std::slice::from_ref(&risen));
            assert_eq!(got.ranks, [Some(expected)], "{budget} bit/s, settling: {is_settling}");
        }
        let rising = Demand { is_settling: true, ..demand(0, 2) };
        assert_eq!(allocate(1_750_000, 40_000, &[rising]).ranks, [Some(2)], "a rise needs its margin");
    }

    #[test]
    fn what_was_paused_comes_back_only_with_room_to_spare() {
        let paused = Demand { granted: None, ..demand(0, 0) };
        for (budget, expected) in [(200_000, None), (230_000, Some(1)), (3_000_000, Some(3))] {
            let got = allocate(budget, 40_000, std::slice::from_ref(&paused));
            assert_eq!(got.ranks, [expected], "{budget} bit/s");
        }
    }

    #[test]
    fn all_rise_in_turn_and_important_ones_first() {
        assert_eq!(ranks(1_100_000, &[demand(0, 3), demand(0, 3)]), [2, 2]);
        assert_eq!(ranks(700_000, &[demand(0, 3), demand(5, 3)]), [1, 2]);
        assert_eq!(ranks(2_300_000, &[demand(0, 3), demand(5, 3)]), [2, 3]);
        assert_eq!(ranks(150_000, &[demand(0, 3), demand(5, 3)]), [0, 1], "the less important one is paused");
    }

    #[test]
    fn what_more_would_need_is_told() {
        let got = allocate(700_000, 0, &[demand(0, 2)]);
        assert_eq!((got.ranks.as_slice(), got.next), ([Some(2)].as_slice(), Some(with_margin(1_700_000))));
        assert_eq!(allocate(1, 0, &[demand(0, 1)]).next, Some(with_margin(150_000)));
        assert_eq!(allocate(9_000_000, 0, &[demand(0, 2)]).next, None);
        assert_eq!(allocate(1, 0, &[]), Allocation { ranks: vec![], next: None, best: 0 });
    }
}
