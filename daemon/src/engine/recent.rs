//! The last ids of something, so that what a daemon remembers does not grow with its uptime.

use std::collections::VecDeque;

/// How many ids are remembered: far more than a device uses at a time.
const MOST: usize = 256;

/// The last ids, each once; the oldest is forgotten first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    ids: VecDeque<String>,
}

impl Recent {
    /// Remembers an id as the newest.
    pub(super) fn insert(&mut self, id: &str) {
        self.ids.retain(|known| known != id);
        if self.ids.len() == MOST {
            self.ids.pop_front();
        }
        self.ids.push_back(id.to_owned());
    }

    /// Whether an id is remembered.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.ids.iter().any(|known| known == id)
    }

    /// Forgets every id.
    pub(super) fn clear(&mut self) {
        self.ids.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_and_one_that_comes_again_is_new() {
        let mut recent = Recent::default();
        for number in 0..MOST {
            recent.insert(&number.to_string());
        }
        recent.insert("0");
        recent.insert("more");
        assert!(recent.contains("0") && recent.contains("2") && recent.contains("more"));
        assert!(!recent.contains("1"));
        assert_eq!(recent.ids.len(), MOST);
        recent.clear();
        assert!(!recent.contains("more"));
    }
}
