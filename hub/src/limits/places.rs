//! Places that are taken and given back: so many altogether, and so many for each.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places. Clones share them.
#[derive(Debug)]
pub struct Places<K: Hash + Eq>(Arc<Shared<K>>);

#[derive(Debug)]
struct Shared<K> {
    all: usize,
    of_one: usize,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    by_each: HashMap<K, usize>,
    in_all: usize,
}

impl<K: Hash + Eq> Clone for Places<K> {
    fn clone(&self) -> Places<K> {
        Places(Arc::clone(&self.0))
    }
}

impl<K: Hash + Eq + Copy> Places<K> {
    /// `all` places, of which each may have `of_one`.
    pub fn new(all: usize, of_one: usize) -> Places<K> {
        let taken = Mutex::new(Taken { by_each: HashMap::new(), in_all: 0 });
        Places(Arc::new(Shared { all, of_one, taken }))
    }

    /// A place for `key`, if it may have one more.
    pub fn take(&self, key: K) -> Option<Place<K>> {
        let mut taken = self.taken();
        let of_one = taken.by_each.get(&key).copied().unwrap_or(0);
        if of_one >= self.0.of_one || taken.in_all >= self.0.all {
            return None;
        }
        taken.by_each.insert(key, of_one + 1);
        taken.in_all += 1;
        Some(Place { places: self.clone(), key })
    }
}

impl<K: Hash + Eq> Places<K> {
    fn taken(&self) -> MutexGuard<'_, Taken<K>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Place<K: Hash + Eq> {
    places: Places<K>,
    key: K,
}

impl<K: Hash + Eq> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.in_all -= 1;
        if let Some(count) = taken.by_each.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.by_each.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_takes_only_its_share_of_the_places() {
        let places = Places::new(256, 64);
        let mut first: Vec<Place<u32>> = std::iter::from_fn(|| places.take(1)).collect();
        assert_eq!(first.len(), 64);
        let others: Vec<Place<u32>> = (2..=500).filter_map(|key| places.take(key)).collect();
        assert_eq!(first.len() + others.len(), 256);
        assert!(places.take(1).is_none());
        first.pop();
        assert!(places.take(1).is_some(), "one is over");
        drop((first, others));
        let taken = places.taken();
        assert!(taken.by_each.is_empty() && taken.in_all == 0, "nothing is kept of those who went");
    }
}
