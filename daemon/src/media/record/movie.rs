//! The beginning of a fragmented movie (ISO/IEC 14496-12): which tracks it has. What they hold follows in fragments.

use std::time::Duration;

use bytes::BufMut;

use super::boxes::{put, put_full, put_zeros};
use super::format::{AUDIO_RATE, AvcLabel, VIDEO_RATE, VideoFormat, put_opus_entry};

/// Number of the video track.
pub(super) const VIDEO_TRACK: u32 = 1;
/// Number of the sound track.
pub(super) const AUDIO_TRACK: u32 = 2;

/// Ticks of the movie's own time a second.
const MOVIE_RATE: u32 = 1000;
/// `und`, the language that is not said, as three times five bits.
const NO_LANGUAGE: u16 = 0x55c4;

/// The tracks of a movie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tracks {
    pub(super) video: Option<VideoFormat>,
    /// Channels of the sound.
    pub(super) audio: Option<u8>,
}

/// `ftyp` and `moov`, and where in them what can be said only later has its place.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) bytes: Vec<u8>,
    /// Where the four letters of an H.264 track's sample entry stand.
    pub(super) label: Option<u64>,
    /// Where the box of [`duration`] has room.
    pub(super) duration: u64,
}

/// The box with the duration of the whole movie, `mehd`: as long as the `free` one that keeps its place.
pub(super) fn duration(length: Duration) -> Vec<u8> {
    let mut out = Vec::new();
    let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    put_full(&mut out, b"mehd", 1, 0, |out| out.put_u64(millis));
    out
}

/// The header of a movie.
pub(super) fn header(tracks: &Tracks, label: AvcLabel) -> Header {
    let mut out = Vec::with_capacity(1024);
    let (mut label_at, mut duration_at) = (None, 0);
    put(&mut out, b"ftyp", |out| {
        out.put_slice(b"iso6");
        out.put_u32(0);
        out.put_slice(b"iso6iso5mp41");
    });
    put(&mut out, b"moov", |out| {
        put_full(out, b"mvhd", 0, 0, |out| {
            put_zeros(out, 8);
            out.put_u32(MOVIE_RATE);
            out.put_u32(0);
            out.put_u32(0x0001_0000); // speed 1
            out.put_u16(0x0100); // volume 1
            put_zeros(out, 10);
            put_matrix(out);
            put_zeros(out, 24);
            out.put_u32(AUDIO_TRACK + 1);
        });
        if let Some(format) = &tracks.video {
            put_track(out, VIDEO_TRACK, Some(format.size()), VIDEO_RATE, |out| {
                label_at = matches!(format, VideoFormat::Avc { .. }).then_some(out.len() as u64 + 4);
                format.put_entry(label, out);
            });
        }
        if let Some(channels) = tracks.audio {
            put_track(out, AUDIO_TRACK, None, AUDIO_RATE, |out| put_opus_entry(out, channels));
        }
        put(out, b"mvex", |out| {
            duration_at = out.len() as u64;
            put_full(out, b"free", 0, 0, |out| put_zeros(out, 8));
            let numbers = [tracks.video.as_ref().map(|_| VIDEO_TRACK), tracks.audio.map(|_| AUDIO_TRACK)];
            for track in numbers.into_iter().flatten() {
                put_full(out, b"trex", 0, 0, |out| {
                    out.put_u32(track);
                    out.put_u32(1); // sample entry
                    put_zeros(out, 12);
                });
            }
        });
    });
    Header { bytes: out, label: label_at, duration: duration_at }
}

/// A track; one with a size has pictures, one without has sound.
fn put_track(
    out: &mut Vec<u8>,
    number: u32,
    size: Option<(u16, u16)>,
    rate: u32,
    put_entry: impl FnOnce(&mut Vec<u8>),
) {
    put(out, b"trak", |out| {
        put_full(out, b"tkhd", 0, 3, |out| {
            put_zeros(out, 8);
            out.put_u32(number);
            put_zeros(out, 16);
            put_zeros(out, 4); // layer, group
            out.put_u16(if size.is_none() { 0x0100 } else { 0 }); // volume
            put_zeros(out, 2);
            put_matrix(out);
            let (width, height) = size.unwrap_or((0, 0));
            out.put_u32(u32::from(width) << 16);
            out.put_u32(u32::from(height) << 16);
        });
        put(out, b"mdia", |out| {
            put_full(out, b"mdhd", 0, 0, |out| {
                put_zeros(out, 8);
                out.put_u32(rate);
                out.put_u32(0);
                out.put_u16(NO_LANGUAGE);
                out.put_u16(0);
            });
            put_full(out, b"hdlr", 0, 0, |out| {
                put_zeros(out, 4);
                out.put_slice(if size.is_some() { b"vide" } else { b"soun" });
                put_zeros(out, 12);
                out.put_slice(if size.is_some() { b"video\0" } else { b"sound\0" });
            });
            put(out, b"minf", |out| {
                if size.is_some() {
                    put_full(out, b"vmhd", 0, 1, |out| put_zeros(out, 8));
                } else {
                    put_full(out, b"smhd", 0, 0, |out| put_zeros(out, 4));
                }
                put(out, b"dinf", |out| {
                    put_full(out, b"dref", 0, 0, |out| {
                        out.put_u32(1);
                        put_full(out, b"url ", 0, 1, |_| {}); // in this file
                    });
                });
                put(out, b"stbl", |out| {
                    put_full(out, b"stsd", 0, 0, |out| {
                        out.put_u32(1);
                        put_entry(out);
                    });
                    for name in [b"stts", b"stsc", b"stco"] {
                        put_full(out, name, 0, 0, |out| out.put_u32(0));
                    }
                    put_full(out, b"stsz", 0, 0, |out| put_zeros(out, 8));
                });
            });
        });
    });
}

/// No rotation, no scaling.
fn put_matrix(out: &mut Vec<u8>) {
    for value in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
        out.put_u32(value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::boxes::{find, list};
    use super::*;

    #[test]
    fn a_movie_has_the_tracks_that_are_asked_for() {
        let video = VideoFormat::Vp8 { width: 640, height: 480 };
        for (video, audio, names) in [
            (Some(video.clone()), Some(1), vec!["mvhd", "trak", "trak", "mvex"]),
            (Some(video), None, vec!["mvhd", "trak", "mvex"]),
            (None, Some(2), vec!["mvhd", "trak", "mvex"]),
        ] {
            let tracks = Tracks { video, audio };
            let bytes = header(&tracks, AvcLabel::Avc1).bytes;
            assert_eq!(list(&bytes).len(), 2);
            let found: Vec<String> =
                list(find(&bytes, "moov")).iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
            assert_eq!(found, names);
            assert_eq!(
                list(find(&bytes, "moov/mvex")).len(),
                names.len() - 1,
                "room for the duration, and a trex each"
            );
        }
    }

    #[test]
    fn boxes_have_the_lengths_that_the_standard_gives() {
        let tracks = Tracks { video: Some(VideoFormat::Vp8 { width: 640, height: 480 }), audio: None };
        let bytes = header(&tracks, AvcLabel::Avc1).bytes;
        // Version and flags included, length and name not.
        for (path, length) in [
            ("moov/mvhd", 100),
            ("moov/trak/tkhd", 84),
            ("moov/trak/mdia/mdhd", 24),
            ("moov/trak/mdia/minf/vmhd", 12),
            ("moov/trak/mdia/minf/stbl/stsz", 12),
            ("moov/mvex/trex", 24),
        ] {
            assert_eq!(find(&bytes, path).len(), length, "{path}");
        }
        assert_eq!(find(&bytes, "moov/trak/tkhd")[76..], [0x02, 0x80, 0, 0, 0x01, 0xe0, 0, 0]);
    }
}
