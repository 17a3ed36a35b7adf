//! How the link to the server is: the signalling connection and the media connection, and what is to be told of both.

use std::time::Duration;

use tokio::time::Instant;

/// For media to come up while the signalling connection is there, and not heard to fail.
pub(super) const MEDIA_TIME: Duration = Duration::from_secs(15);

/// How the media is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// Not up yet, for the first time.
    Starting,
    Up,
    /// Silent, or being connected anew.
    Down,
}

/// What happened to one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    SignalLost,
    SignalBack,
    MediaUp,
    MediaDown,
}

/// What is told about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Reconnecting,
    Reconnected,
}

/// How the link is. Knows no clock: the time is passed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Health {
    signal_up: bool,
    media: Media,
    /// The others upstairs know that the link is broken.
    told: bool,
    /// Since when media is missing although the server can be asked for it.
    missing_since: Option<Instant>,
}

impl Health {
    /// A session that the server has just made.
    pub(super) const fn new(now: Instant) -> Self {
        Self { signal_up: true, media: Media::Starting, told: false, missing_since: Some(now) }
    }

    pub(super) const fn signal_up(&self) -> bool {
        self.signal_up
    }

    pub(super) const fn media(&self) -> Media {
        self.media
    }

    /// Takes what happened, and says what is to be told: a link that is broken is announced once, and whole only when both work.
    pub(super) fn take(&mut self, input: Input, now: Instant) -> Option<Told> {
        match input {
            Input::SignalLost => self.signal_up = false,
            Input::SignalBack => self.signal_up = true,
            Input::MediaUp => self.media = Media::Up,
            Input::MediaDown => self.media = Media::Down,
        }
        let missing = self.signal_up && self.media != Media::Up;
        self.missing_since = missing.then(|| self.missing_since.unwrap_or(now));
        if self.signal_up && self.media == Media::Up {
            return std::mem::take(&mut self.told).then_some(Told::Reconnected);
        }
        let broken = !self.signal_up || self.media == Media::Down;
        if !broken || self.told {
            return None;
        }
        self.told = true;
        Some(Told::Reconnecting)
    }

    /// When the session is given up for one that is made anew, unless media comes.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.missing_since.map(|since| since + MEDIA_TIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs with the seconds at which they come, and what each tells and leaves as deadline.
    fn walk(steps: &[(u64, Input, Option<Told>, Option<u64>)]) {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut health = Health::new(start);
        assert_eq!(health.deadline(), Some(at(15)));
        for (index, (seconds, input, told, deadline)) in steps.iter().enumerate() {
            assert_eq!(health.take(*input, at(*seconds)), *told, "step {index}: {input:?}");
            assert_eq!(health.deadline(), deadline.map(at), "step {index}: {input:?}");
        }
    }

    #[test]
    fn a_first_connection_is_nothing_to_tell() {
        walk(&[(1, Input::MediaUp, None, None), (2, Input::MediaUp, None, None)]);
    }

    #[test]
    fn a_lost_signal_is_waited_for_without_a_limit() {
        walk(&[
            (1, Input::MediaUp, None, None),
            (10, Input::SignalLost, Some(Told::Reconnecting), None),
            (11, Input::SignalLost, None, None),
            (900, Input::SignalBack, Some(Told::Reconnected), None),
        ]);
    }

    #[test]
    fn both_must_be_back() {
        walk(&[
            (1, Input::MediaUp, None, None),
            (10, Input::SignalLost, Some(Told::Reconnecting), None),
            (14, Input::MediaDown, None, None),
            (60, Input::SignalBack, None, Some(75)),
            (61, Input::MediaDown, None, Some(75)),
            (62, Input::MediaUp, Some(Told::Reconnected), None),
            (70, Input::MediaDown, Some(Told::Reconnecting), Some(85)),
            (80, Input::SignalLost, None, None),
            (81, Input::MediaUp, None, None),
            (82, Input::SignalBack, Some(Told::Reconnected), None),
        ]);
    }

    #[test]
    fn a_link_that_breaks_before_media_was_there() {
        walk(&[
            (1, Input::SignalLost, Some(Told::Reconnecting), None),
            (5, Input::SignalBack, None, Some(20)),
            (6, Input::MediaUp, Some(Told::Reconnected), None),
        ]);
    }
}
