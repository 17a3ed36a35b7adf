//! The index of a movie that is complete (ISO/IEC 14496-12 section 8.8.9): where decoding can start. Without it a player that
//! does not look through the whole file (GStreamer, QuickTime) knows no place but the beginning.

use bytes::BufMut;

use super::boxes::{put, put_full};
use super::fragment::Run;

/// Seconds between two places, at least: sound could start with any packet.
const APART_S: u64 = 2;

/// The places of one track.
#[derive(Debug)]
struct Places {
    track: u32,
    list: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    /// Ticks from the movie's beginning.
    time: u64,
    /// Bytes from the movie's beginning to the fragment.
    fragment: u64,
    /// Which run of the fragment, from 1.
    run: u8,
    /// Which of its samples, from 1.
    sample: u32,
}

/// Collects the places while a movie grows; some bytes for each key frame.
#[derive(Debug, Default)]
pub(super) struct Index {
    tracks: Vec<Places>,
}

impl Index {
    /// Notes a fragment that begins `fragment` bytes behind the movie's beginning. `rate` is that of the track with this number.
    pub(super) fn note(&mut self, fragment: u64, runs: &[Run], rate: impl Fn(u32) -> u32) {
        for (run, number) in runs.iter().zip(1..) {
            let Some(key) = run.samples.iter().position(|sample| sample.key) else { continue };
            let before: u64 = run.samples[..key].iter().map(|sample| u64::from(sample.duration)).sum();
            let place = Place { time: run.start + before, fragment, run: number, sample: key as u32 + 1 };
            let known = self.tracks.iter().position(|places| places.track == run.track);
            let known = known.unwrap_or_else(|| {
                self.tracks.push(Places { track: run.track, list: Vec::new() });
                self.tracks.len() - 1
            });
            let list = &mut self.tracks[known].list;
            if list.last().is_none_or(|last| place.time >= last.time + APART_S * u64::from(rate(run.track))) {
                list.push(place);
            }
        }
    }

    /// Appends the box, which is the last one of a file.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        put(out, b"mfra", |out| {
            for places in &self.tracks {
                put_full(out, b"tfra", 1, 0, |out| {
                    out.put_u32(places.track);
                    out.put_u32(3); // one byte for the run's fragment of a track and for the run, four for the sample
                    out.put_u32(places.list.len() as u32);
                    for place in &places.list {
                        out.put_u64(place.time);
                        out.put_u64(place.fragment);
                        out.put_u8(place.run);
                        out.put_u8(1);
                        out.put_u32(place.sample);
                    }
                });
            }
            // Its length, at the very end, tells where it begins; 16 bytes more than what is there so far.
            let length = out.len() - start + 16;
            put_full(out, b"mfro", 0, 0, |out| out.put_u32(length as u32));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::boxes::find;
    use super::super::fragment::Sample;
    use super::*;

    #[test]
    fn places_lie_apart_and_point_at_their_fragments() {
        let sample = |key| Sample { data: vec![1], duration: 3000, key };
        let run =
            |start, keys: &[bool]| Run { track: 1, start, samples: keys.iter().map(|key| sample(*key)).collect() };
        let mut index = Index::default();
        index.note(700, &[run(0, &[true, false])], |_| 90_000);
        index.note(900, &[run(90_000, &[true])], |_| 90_000);
        index.note(1 << 33, &[run(180_000, &[false, true])], |_| 90_000);
        index.note(2 << 33, &[run(400_000, &[false])], |_| 90_000);
        let mut out = vec![0; 5];
        index.put(&mut out);
        let tfra = find(&out[5..], "mfra/tfra");
        assert_eq!(tfra[..16], [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 2]);
        assert_eq!(tfra[16..38], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 188, 1, 1, 0, 0, 0, 1]);
        let second = [&183_000_u64.to_be_bytes()[..], &(1_u64 << 33).to_be_bytes(), &[1, 1, 0, 0, 0, 2]].concat();
        assert_eq!(tfra[38..], second, "the key frame is the second sample");
        let length = u32::from_be_bytes(out[out.len() - 4..].try_into().unwrap()) as usize;
        assert_eq!(length, out.len() - 5, "read from the end");
    }
}
