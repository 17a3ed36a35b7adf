//! A fragment of a movie (ISO/IEC 14496-12 section 8.8): some samples of each track, and when they are shown.

use bytes::BufMut;

use super::boxes::{put, put_full};

/// A sample's flags (section 8.8.3.1): it depends on no other one.
const KEY: u32 = 0x0200_0000;
/// It depends on others, and decoding cannot start with it.
const NO_KEY: u32 = 0x0101_0000;

/// One picture, or one packet of sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) data: Vec<u8>,
    /// Ticks until the next one.
    pub(super) duration: u32,
    /// Whether decoding can start with it.
    pub(super) key: bool,
}

/// Samples of one track that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) track: u32,
    /// Ticks from the movie's beginning to the first sample.
    pub(super) start: u64,
    pub(super) samples: Vec<Sample>,
}

/// `moof` and `mdat`. `sequence` counts the movie's fragments from 1.
pub(super) fn fragment(sequence: u32, runs: &[Run]) -> Vec<u8> {
    let length: usize = runs.iter().flat_map(|run| &run.samples).map(|sample| sample.data.len() + 16).sum();
    let mut out = Vec::with_capacity(length + 200);
    // Where in `out` the place of each run's data is to be written.
    let mut places = Vec::new();
    put(&mut out, b"moof", |out| {
        put_full(out, b"mfhd", 0, 0, |out| out.put_u32(sequence));
        for run in runs {
            put(out, b"traf", |out| {
                // Places count from the beginning of the moof.
                put_full(out, b"tfhd", 0, 0x02_0000, |out| out.put_u32(run.track));
                put_full(out, b"tfdt", 1, 0, |out| out.put_u64(run.start));
                put_full(out, b"trun", 0, 0x00_0701, |out| {
                    out.put_u32(run.samples.len() as u32);
                    places.push(out.len());
                    out.put_u32(0);
                    for sample in &run.samples {
                        out.put_u32(sample.duration);
                        out.put_u32(sample.data.len() as u32);
                        out.put_u32(if sample.key { KEY } else { NO_KEY });
                    }
                });
            });
        }
    });
    let mut data_at = out.len() + 8;
    for (place, run) in places.into_iter().zip(runs) {
        out[place..place + 4].copy_from_slice(&(data_at as u32).to_be_bytes());
        data_at += run.samples.iter().map(|sample| sample.data.len()).sum::<usize>();
    }
    put(&mut out, b"mdat", |out| {
        for sample in runs.iter().flat_map(|run| &run.samples) {
            out.put_slice(&sample.data);
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::super::boxes::{find, list};
    use super::*;

    #[test]
    fn every_run_points_at_its_data() {
        let sample = |data: &[u8], key| Sample { data: data.to_vec(), duration: 3000, key };
        let runs = [
            Run { track: 1, start: 1 << 33, samples: vec![sample(b"key", true), sample(b"delta", false)] },
            Run { track: 2, start: 960, samples: vec![sample(b"sound", true)] },
        ];
        let bytes = fragment(9, &runs);
        assert_eq!(find(&bytes, "moof/mfhd"), [0, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!(find(&bytes, "mdat"), b"keydeltasound");
        assert_eq!(find(&bytes, "moof/traf/tfdt"), [1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        let trafs: Vec<&[u8]> =
            list(find(&bytes, "moof")).into_iter().filter(|(name, _)| name == b"traf").map(|(_, traf)| traf).collect();
        for (traf, data) in trafs.iter().zip([&b"key"[..], b"sound"]) {
            let trun = find(traf, "trun");
            let place = u32::from_be_bytes(trun[8..12].try_into().unwrap()) as usize;
            assert!(bytes[place..].starts_with(data), "{place}");
        }
        let trun = find(trafs[0], "trun");
        assert_eq!(trun[4..8], [0, 0, 0, 2]);
        assert_eq!(trun[12..24], [0, 0, 11, 184, 0, 0, 0, 3, 2, 0, 0, 0], "duration, size, flags of the first");
        assert_eq!(trun[32..36], [1, 1, 0, 0], "flags of the second");
    }
}
