use super::super::boxes::{find, list};
use super::*;

const FORMAT: VideoFormat = VideoFormat::Vp8 { width: 64, height: 48 };

fn at(millis: u64) -> Monotonic {
    Monotonic::from_millis(50_000 + millis)
}

fn picture(millis: u64, key: bool) -> Input {
    Input::Video { at: at(millis), data: vec![b'v'; 10], format: key.then_some(FORMAT) }
}

fn sound(millis: u64) -> Input {
    Input::Audio { at: at(millis), data: vec![b'a'; 5], samples: 960 }
}

/// A sample as a reader of the movie sees it: track, start in ticks, duration, key.
type Seen = (u32, u64, u32, bool);

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

fn seen(movie: &[u8]) -> Vec<Seen> {
    let mut found = Vec::new();
    for (_, moof) in list(movie).into_iter().filter(|(name, _)| name == b"moof") {
        for (_, traf) in list(moof).into_iter().filter(|(name, _)| name == b"traf") {
            let track = number(&find(traf, "tfhd")[4..]);
            let mut start = u64::from_be_bytes(find(traf, "tfdt")[4..12].try_into().unwrap());
            for sample in find(traf, "trun")[12..].chunks(12) {
                found.push((track, start, number(sample), sample[8] & 1 == 0));
                start += u64::from(number(sample));
            }
        }
    }
    found.sort_unstable();
    found
}

fn starts(movie: &[u8], track: u32) -> Vec<u64> {
    seen(movie).into_iter().filter(|seen| seen.0 == track).map(|seen| seen.1).collect()
}

fn mux(muxer: &mut Muxer, inputs: impl IntoIterator<Item = Input>) -> Vec<u8> {
    let mut out = Vec::new();
    for input in inputs {
        muxer.push(input, &mut out).unwrap();
    }
    out
}

fn whole(mut muxer: Muxer, inputs: impl IntoIterator<Item = Input>) -> Vec<u8> {
    let mut out = mux(&mut muxer, inputs);
    muxer.finish(&mut out);
    out
}

#[test]
fn a_movie_begins_with_the_first_key_frame_and_the_sound_from_then_on() {
    let inputs = [sound(0), picture(10, false), sound(20), picture(50, true), sound(40), sound(60), picture(90, false)];
    let movie = whole(Muxer::new(true, Some(1), true), inputs);
    assert_eq!(
        list(&movie).iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        [*b"ftyp", *b"moov", *b"moof", *b"mdat", *b"mfra"]
    );
    assert_eq!(seen(&movie), [(1, 0, 3600, true), (1, 3600, 3600, false), (2, 480, 960, true)]);
}

#[test]
fn a_fragment_ends_every_half_second_and_nothing_is_kept_back_for_longer() {
    let mut muxer = Muxer::new(true, Some(1), true);
    let mut written = 0;
    for n in 0..200_u64 {
        let mut out = mux(&mut muxer, [sound(n * 20)]);
        if n % 2 == 0 {
            out.extend(mux(&mut muxer, [picture(n * 20, n == 0)]));
        }
        for seen in seen(&out) {
            written = written.max(seen.1 * 1000 / if seen.0 == 1 { 90_000 } else { 48_000 });
        }
        assert!(n * 20 < written + 600, "at {} ms nothing after {written} ms was written", n * 20);
    }
    assert!((3970..=4000).contains(&muxer.duration().as_millis()), "{:?}", muxer.duration());
}

#[test]
fn a_gap_in_the_sound_stays_a_gap() {
    let inputs = [0, 20, 40, 300, 320].map(sound);
    let movie = whole(Muxer::new(false, Some(1), true), inputs);
    assert_eq!(starts(&movie, 2), [0, 960, 1920, 14_400, 15_360]);
}

#[test]
fn small_errors_of_the_clock_are_no_gaps_and_what_came_twice_is_left_out() {
    let jitter = [0, 23, 38, 38, 61, 85];
    let movie = whole(Muxer::new(false, Some(1), true), jitter.map(sound));
    assert_eq!(starts(&movie, 2), [0, 960, 1920, 2880, 3840], "38 came twice");
}

#[test]
fn pictures_never_go_back_in_time() {
    let movie = whole(
        Muxer::new(true, None, true),
        [picture(0, true), picture(40, false), picture(39, false), picture(80, false)],
    );
    assert_eq!(starts(&movie, 1), [0, 3600, 3601, 7200]);
}

#[test]
fn a_picture_that_nothing_follows_is_written_while_the_sound_goes_on() {
    let mut muxer = Muxer::new(true, Some(1), true);
    let mut movie = mux(&mut muxer, [picture(0, true), picture(33, false)]);
    movie.extend(mux(&mut muxer, (0..60).map(|n| sound(n * 20))));
    assert_eq!(starts(&movie, 1), [0, 2970], "before anybody ended the movie");
    movie.extend(mux(&mut muxer, [picture(3000, true)]));
    muxer.finish(&mut movie);
    assert_eq!(starts(&movie, 1), [0, 2970, 270_000]);
}

#[test]
fn sound_does_not_wait_for_ever_for_a_picture() {
    let mut muxer = Muxer::new(true, Some(1), true);
    assert_eq!(mux(&mut muxer, (0..149).map(|n| sound(n * 20))), [0u8; 0]);
    let mut movie = mux(&mut muxer, (149..160).map(|n| sound(n * 20)));
    movie.extend(mux(&mut muxer, [picture(3200, true)]));
    muxer.finish(&mut movie);
    assert_eq!(starts(&movie, 2).len(), 160, "what waited is in it");
    assert_eq!(starts(&movie, 1), [0u64; 0], "the header has no place for pictures");
}

#[test]
fn what_is_not_wanted_is_not_in_it() {
    assert_eq!(whole(Muxer::new(false, None, true), [sound(0), picture(0, true)]), [0u8; 0]);
    assert_eq!(starts(&whole(Muxer::new(true, None, true), [sound(0), picture(0, true)]), 2), [0u64; 0]);
}

#[test]
fn parameter_sets_may_change_and_the_codec_may_not() {
    let mut muxer = Muxer::new(true, None, true);
    mux(&mut muxer, [picture(0, true)]);
    let other = |format| Input::Video { at: at(40), data: vec![1], format: Some(format) };
    let mut out = Vec::new();
    assert_eq!(muxer.push(other(VideoFormat::Vp8 { width: 32, height: 24 }), &mut out), Ok(()));
    let avc = VideoFormat::Avc { sps: vec![0x67], pps: vec![0x68], width: 64, height: 48 };
    assert_eq!(muxer.push(other(avc), &mut out), Err(CodecChanged));
}

/// What a file holds after its amendments.
fn amended(mut movie: Vec<u8>, muxer: &mut Muxer) -> Vec<u8> {
    for Amendment { at, bytes } in muxer.amendments() {
        movie[at as usize..at as usize + bytes.len()].copy_from_slice(&bytes);
    }
    movie
}

fn avc(millis: u64, sps: u8) -> Input {
    let format = VideoFormat::Avc { sps: vec![0x67, sps], pps: vec![0x68], width: 64, height: 48 };
    Input::Video { at: at(millis), data: vec![b'v'; 10], format: Some(format) }
}

#[test]
fn h264_is_called_avc1_until_its_parameter_sets_change() {
    for (sets, amendable, label) in [
        ([1, 1, 1], true, b"avc1"),
        ([1, 2, 1], true, b"avc3"),
        ([1, 1, 1], false, b"avc3"),
        ([1, 2, 1], false, b"avc3"),
    ] {
        let mut muxer = Muxer::new(true, None, amendable);
        let movie = mux(&mut muxer, (0..).zip(sets).map(|(n, sps)| avc(n * 600, sps)));
        let movie = amended(movie, &mut muxer);
        let entry = &find(&movie, "moov/trak/mdia/minf/stbl/stsd")[8..];
        assert_eq!(&entry[4..8], label, "{sets:?} {amendable}");
    }
}

#[test]
fn a_complete_movie_knows_its_duration_and_where_its_key_frames_are() {
    let mut muxer = Muxer::new(true, Some(1), true);
    let mut movie = mux(&mut muxer, (0..300).flat_map(|n| [sound(n * 20), picture(n * 20, n % 150 == 0)]));
    assert_eq!(find(&movie, "moov/mvex/free").len(), 12, "nothing is said before it is known");
    muxer.finish(&mut movie);
    let movie = amended(movie, &mut muxer);
    let length = muxer.duration().as_millis() as u64;
    assert_eq!(find(&movie, "moov/mvex/mehd")[4..], length.to_be_bytes());
    assert_eq!(length, 6000);
    let tfra = find(&movie, "mfra/tfra");
    assert_eq!(number(&tfra[12..]), 2, "two key frames");
    let place = |n: usize| &tfra[16 + 22 * n..];
    for (n, time) in [(0, 0_u64), (1, 270_000)] {
        assert_eq!(place(n)[..8], time.to_be_bytes());
        let fragment = u64::from_be_bytes(place(n)[8..16].try_into().unwrap()) as usize;
        assert_eq!(&movie[fragment + 4..fragment + 8], b"moof");
    }
}
