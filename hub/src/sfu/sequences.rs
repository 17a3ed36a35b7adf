//! A client numbers its reliable data packets. When it resumes its session it is told the last number that came, and sends again
//! what it has since; some of that is on its way already, because the data channel went on, too. So nothing is lost, and what has come
//! is not passed on twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Number of the last reliable packet that came of a participant: the media thread writes it, the signalling reads it.
#[derive(Debug, Clone, Default)]
pub struct LastSequence(Arc<AtomicU32>);

impl LastSequence {
    /// A packet came; false when it, or a later one, had come before. 0 is a packet without a number, of an older client.
    pub fn advance(&self, sequence: u32) -> bool {
        // One writer: nothing changes between the load and the store.
        let is_new = sequence == 0 || sequence > self.get();
        if is_new && sequence != 0 {
            self.0.store(sequence, Ordering::Relaxed);
        }
        is_new
    }

    /// The number, 0 before the first one.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_passes_once_and_packets_without_one_always() {
        let last = LastSequence::default();
        for (sequence, passes, then) in
            [(0, true, 0), (1, true, 1), (2, true, 2), (1, false, 2), (2, false, 2), (0, true, 2), (5, true, 5)]
        {
            assert_eq!((last.advance(sequence), last.clone().get()), (passes, then), "{sequence}");
        }
    }
}
