//! When to make an offer: one is in flight at a time, and what is asked for meanwhile becomes one more offer after it.

/// What to do with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It answers the newest offer.
    Take,
    /// It answers an older one, or nothing.
    Ignore,
}

/// Where the negotiation stands.
#[derive(Debug, Default)]
pub(super) struct Offers {
    /// Id of the newest offer.
    id: u32,
    in_flight: bool,
    wanted: bool,
    /// The next offer restarts ICE.
    restart: bool,
}

impl Offers {
    /// `offered`: an offer of id 0 went with the join.
    pub(super) fn new(offered: bool) -> Self {
        Self { in_flight: offered, ..Self::default() }
    }

    /// Asks for an offer.
    pub(super) fn request(&mut self) {
        self.wanted = true;
    }

    /// Asks for an offer that restarts ICE.
    pub(super) fn request_restart(&mut self) {
        self.wanted = true;
        self.restart = true;
    }

    /// The offer to be made now: its id, and whether it restarts ICE.
    pub(super) fn next(&mut self) -> Option<(u32, bool)> {
        if self.in_flight || !self.wanted {
            return None;
        }
        self.in_flight = true;
        self.wanted = false;
        self.id += 1;
        Some((self.id, std::mem::take(&mut self.restart)))
    }

    /// Id of the offer that will carry what is asked for now.
    pub(super) fn next_id(&self) -> u32 {
        self.id + 1
    }

    /// Id of the newest offer.
    pub(super) fn newest_id(&self) -> u32 {
        self.id
    }

    /// An answer came. Old servers send id 0.
    pub(super) fn answered(&mut self, id: u32) -> Answer {
        if !self.in_flight || (id != 0 && id != self.id) {
            return Answer::Ignore;
        }
        self.in_flight = false;
        Answer::Take
    }

    /// Whether an answer is waited for.
    pub(super) fn in_flight(&self) -> bool {
        self.in_flight
    }

    /// The connection broke: an offer in flight will not be answered, so it is made again.
    pub(super) fn lost(&mut self) {
        self.wanted |= self.in_flight;
        self.in_flight = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_offer_is_in_flight() {
        let mut offers = Offers::new(true);
        offers.request();
        assert_eq!(offers.next(), None, "the join's offer is not answered yet");
        assert_eq!(offers.answered(0), Answer::Take);
        assert_eq!(offers.next(), Some((1, false)));
        offers.request();
        assert_eq!((offers.newest_id(), offers.next_id()), (1, 2), "the one in flight does not carry it");
        offers.request();
        offers.request_restart();
        assert_eq!(offers.next(), None);
        assert_eq!(offers.answered(7), Answer::Ignore);
        assert_eq!(offers.answered(1), Answer::Take);
        assert_eq!(offers.answered(1), Answer::Ignore, "a second answer to the same offer");
        assert_eq!(offers.next(), Some((2, true)), "three requests are one offer");
        offers.lost();
        assert_eq!(offers.answered(2), Answer::Ignore);
        assert_eq!(offers.next(), Some((3, false)));
        assert_eq!(offers.answered(3), Answer::Take);
        assert_eq!(offers.next(), None);
    }
}
