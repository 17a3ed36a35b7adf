//! Samples in, bytes of a fragmented movie out.
//!
//! **A fragment is written every half second**, so that whatever ends a recording takes at most that much with it. Pictures
//! and sound keep the moments at which they were captured: a gap stays a gap.
//!
//! What is known only later (whether the parameter sets change, how long it lasts) is amended in the header, where that can be.

use std::time::Duration;

use super::format::{AUDIO_RATE, AvcLabel, VIDEO_RATE, VideoFormat};
use super::fragment::{self, Run, fragment};
use super::index::Index;
use super::movie::{self, AUDIO_TRACK, Tracks, VIDEO_TRACK, header};
use crate::clock::Monotonic;

/// Length of a fragment.
const FRAGMENT: Duration = Duration::from_millis(500);
/// How long sound waits for the first picture. A track that has none by then is left out: the header must be written.
const PATIENCE: Duration = Duration::from_secs(3);
/// Sound this near to where it was expected follows without a gap: 5 ms, less than anybody hears.
const SNAP: u64 = 240;

/// What is given to a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A picture.
    Video {
        /// When it was captured.
        at: Monotonic,
        /// As a sample holds it.
        data: Vec<u8>,
        /// Of a key frame, what is needed to decode it.
        format: Option<VideoFormat>,
    },
    /// An Opus packet.
    Audio {
        /// When its first sample was captured.
        at: Monotonic,
        /// The packet.
        data: Vec<u8>,
        /// Samples in it.
        samples: u32,
    },
}

impl Input {
    /// Bytes that it takes.
    pub(super) const fn size(&self) -> usize {
        match self {
            Self::Video { data, .. } | Self::Audio { data, .. } => data.len(),
        }
    }
}

/// Bytes of the movie that become others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Amendment {
    /// Where, from the movie's beginning.
    pub(super) at: u64,
    /// What stands there from now on.
    pub(super) bytes: Vec<u8>,
}

/// The codec of the pictures changed: a track cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CodecChanged;

/// Makes one movie.
#[derive(Debug)]
pub(super) struct Muxer {
    video: bool,
    /// Channels of the sound, if there is any.
    audio: Option<u8>,
    /// Whether what was written can be amended.
    amendable: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Sound waits for the first key frame.
    Waiting { sound: Vec<Input> },
    /// The header was written.
    Writing(Box<Movie>),
}

#[derive(Debug)]
struct Movie {
    begin: Monotonic,
    newest: Monotonic,
    /// When the fragment that is being filled began.
    fragment: Monotonic,
    sequence: u32,
    format: Option<VideoFormat>,
    video: Option<Track>,
    audio: Option<Track>,
    /// Bytes so far.
    length: u64,
    index: Index,
    /// Where the header says `avc1`, as long as that is true.
    label: Option<u64>,
    /// Where the header has room for the duration.
    duration: u64,
    amendments: Vec<Amendment>,
}

#[derive(Debug)]
struct Track {
    number: u32,
    rate: u32,
    /// The newest sample: its length is known with the next one. `duration` is what it lasts by itself.
    pending: Option<(u64, fragment::Sample)>,
    /// The first tick after all that was given.
    end: u64,
    start: u64,
    ready: Vec<fragment::Sample>,
}

impl Muxer {
    /// A movie that has these tracks, as far as they bring something.
    pub(super) const fn new(video: bool, audio: Option<u8>, amendable: bool) -> Self {
        Self { video, audio, amendable, stage: Stage::Waiting { sound: Vec::new() } }
    }

    /// How much was recorded.
    pub(super) fn duration(&self) -> Duration {
        match &self.stage {
            Stage::Waiting { .. } => Duration::ZERO,
            Stage::Writing(movie) => movie.duration(),
        }
    }

    /// Takes a picture or a packet, and appends to `out` what can be written now.
    ///
    /// # Errors
    /// [`CodecChanged`]; end the movie.
    pub(super) fn push(&mut self, input: Input, out: &mut Vec<u8>) -> Result<(), CodecChanged> {
        if let Stage::Waiting { sound } = &mut self.stage {
            let (at, format) = match &input {
                Input::Video { format: None, .. } => return Ok(()),
                Input::Video { at, format, .. } if self.video => (*at, format.clone()),
                Input::Video { .. } => return Ok(()),
                Input::Audio { .. } if self.audio.is_none() => return Ok(()),
                Input::Audio { at, .. } => {
                    let first = sound.first().map_or(*at, time_of);
                    if self.video && at.since(first) < PATIENCE {
                        sound.push(input);
                        return Ok(());
                    }
                    (first, None)
                }
            };
            let sound = std::mem::take(sound);
            let movie = Movie::new(at, format, self.audio, self.amendable, out);
            self.stage = Stage::Writing(Box::new(movie));
            for earlier in sound {
                self.push(earlier, out)?;
            }
        }
        let Stage::Writing(movie) = &mut self.stage else { return Ok(()) };
        movie.push(input)?;
        if movie.newest.since(movie.fragment) >= FRAGMENT {
            movie.flush(false, out);
        }
        Ok(())
    }

    /// Appends what is left, and the index.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if let Stage::Writing(movie) = &mut self.stage {
            movie.flush(true, out);
            movie.index.put(out);
            let duration = Amendment { at: movie.duration, bytes: movie::duration(movie.duration()) };
            movie.amendments.push(duration);
        }
    }

    /// What is to be amended, once all that was appended so far is written. Of no use where that cannot be.
    pub(super) fn amendments(&mut self) -> Vec<Amendment> {
        match &mut self.stage {
            Stage::Waiting { .. } => Vec::new(),
            Stage::Writing(movie) => std::mem::take(&mut movie.amendments),
        }
    }
}

const fn time_of(input: &Input) -> Monotonic {
    match input {
        Input::Video { at, .. } | Input::Audio { at, .. } => *at,
    }
}

impl Movie {
    /// Begins a movie: its header is appended to `out`.
    fn new(
        begin: Monotonic,
        format: Option<VideoFormat>,
        channels: Option<u8>,
        amendable: bool,
        out: &mut Vec<u8>,
    ) -> Self {
        // Where it could not be corrected, nothing is said that may turn out wrong.
        let label = if amendable { AvcLabel::Avc1 } else { AvcLabel::Avc3 };
        let header = header(&Tracks { video: format.clone(), audio: channels }, label);
        out.extend(&header.bytes);
        let video = format.as_ref().map(|_| Track::new(VIDEO_TRACK, VIDEO_RATE));
        let audio = channels.map(|_| Track::new(AUDIO_TRACK, AUDIO_RATE));
        Self {
            begin,
            newest: begin,
            fragment: begin,
            sequence: 0,
            format,
            video,
            audio,
            length: header.bytes.len() as u64,
            index: Index::default(),
            label: header.label.filter(|_| amendable),
            duration: header.duration,
            amendments: Vec::new(),
        }
    }

    fn duration(&self) -> Duration {
        let lengths = [&self.video, &self.audio].into_iter().flatten().map(Track::length);
        lengths.max().unwrap_or(Duration::ZERO)
    }

    fn push(&mut self, input: Input) -> Result<(), CodecChanged> {
        let at = time_of(&input);
        let since = at.since(self.begin);
        match input {
            Input::Video { data, format, .. } => {
                let Some(track) = &mut self.video else { return Ok(()) };
                let key = format.is_some();
                if let (Some(format), Some(before)) = (format, &self.format)
                    && !format.same_sets(before)
                {
                    if !format.same_codec(before) {
                        return Err(CodecChanged);
                    }
                    if let Some(at) = self.label.take() {
                        self.amendments.push(Amendment { at, bytes: AvcLabel::Avc3.letters().to_vec() });
                    }
                }
                track.picture(since, data, key);
            }
            Input::Audio { data, samples, .. } => {
                let Some(track) = &mut self.audio else { return Ok(()) };
                // What was heard before the first picture is not in the movie.
                if at < self.begin {
                    return Ok(());
                }
                track.sound(since, data, samples);
            }
        }
        self.newest = self.newest.max(at);
        Ok(())
    }

    /// Appends a fragment with everything whose length is known; at the end with everything.
    fn flush(&mut self, end: bool, out: &mut Vec<u8>) {
        let now = self.newest.since(self.begin);
        let tracks = [&mut self.video, &mut self.audio].into_iter().flatten();
        let runs: Vec<Run> = tracks.filter_map(|track| track.take(now, end)).collect();
        self.fragment = self.newest;
        if !runs.is_empty() {
            self.sequence += 1;
            let rate = |track| if track == VIDEO_TRACK { VIDEO_RATE } else { AUDIO_RATE };
            self.index.note(self.length, &runs, rate);
            let bytes = fragment(self.sequence, &runs);
            self.length += bytes.len() as u64;
            out.extend(bytes);
        }
    }
}

impl Track {
    const fn new(number: u32, rate: u32) -> Self {
        Self { number, rate, pending: None, end: 0, start: 0, ready: Vec::new() }
    }

    fn ticks(&self, time: Duration) -> u64 {
        let ticks = (time.as_nanos() * u128::from(self.rate) + 500_000_000) / 1_000_000_000;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    fn length(&self) -> Duration {
        Duration::from_secs_f64(self.end as f64 / f64::from(self.rate))
    }

    fn picture(&mut self, since: Duration, data: Vec<u8>, key: bool) {
        // The last picture stays as long as the one before it did.
        let start = self.ticks(since);
        let usual =
            self.pending.as_ref().map_or(u64::from(self.rate) / 30, |(before, _)| start.saturating_sub(*before));
        let duration = usual.clamp(1, u64::from(self.rate) / 5) as u32;
        let start = self.pending.as_ref().map_or(start, |(before, _)| start.max(before + 1));
        self.add(start, fragment::Sample { data, duration, key });
    }

    fn sound(&mut self, since: Duration, data: Vec<u8>, samples: u32) {
        let mut start = self.ticks(since);
        if start.abs_diff(self.end) <= SNAP {
            start = self.end;
        } else if start < self.end {
            // The device's clock runs faster than ours, or it came twice.
            return;
        }
        self.add(start, fragment::Sample { data, duration: samples, key: true });
    }

    fn add(&mut self, start: u64, sample: fragment::Sample) {
        self.end = start + u64::from(sample.duration);
        if let Some((before, mut pending)) = self.pending.replace((start, sample)) {
            pending.duration = u32::try_from(start.saturating_sub(before)).unwrap_or(u32::MAX);
            self.settle(before, pending);
        }
    }

    fn settle(&mut self, start: u64, sample: fragment::Sample) {
        if self.ready.is_empty() {
            self.start = start;
        }
        self.ready.push(sample);
    }

    /// What goes into a fragment that ends `now`.
    fn take(&mut self, now: Duration, end: bool) -> Option<Run> {
        // One that nothing has followed for long is not kept back: what comes next has a time of its own.
        let now = self.ticks(now);
        let fragment = self.ticks(FRAGMENT);
        if let Some((start, mut sample)) = self.pending.take_if(|(start, _)| end || *start + fragment <= now) {
            if !end {
                sample.duration = u32::try_from(now - start).unwrap_or(u32::MAX);
            }
            self.settle(start, sample);
        }
        let samples = std::mem::take(&mut self.ready);
        (!samples.is_empty()).then_some(Run { track: self.number, start: self.start, samples })
    }
}

#[cfg(test)]
#[path = "muxer_tests.rs"]
mod tests;
