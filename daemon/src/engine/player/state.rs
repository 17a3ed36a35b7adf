//! The states of a player, and what moves it from one to the next.

use zego_protocol::state::ZegoPlayerState as State;

/// Where a player is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waits for the room, the stream or its media.
    Requesting,
    /// Media comes in.
    Playing,
    /// Over.
    Ended,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Media of the stream can arrive.
    MediaThere,
    /// The stream was taken back, or the link broke: it is waited for again.
    Interrupted,
    /// The server refused, with this code.
    Refused(i32),
    /// The room is gone, with this code (0 = logged out).
    RoomGone(i32),
    /// StopPlaying.
    Stop,
}

/// Playing was interrupted and is being resumed. That it could not be, in the whole retry time, has no code of its own, unlike with a
/// publisher: the room's 1002053 says it.
const RETRYING: i32 = 1_004_020;

impl Phase {
    /// Where `input` leads, and what is announced about it (state and code).
    #[must_use]
    pub const fn next(self, input: Input) -> (Self, Option<(State, i32)>) {
        use Phase::{Ended, Playing, Requesting};
        match (self, input) {
            (Ended, _) => (Ended, None),
            (Requesting | Playing, Input::Stop) => (Ended, Some((State::NoPlay, 0))),
            (Requesting | Playing, Input::Refused(code) | Input::RoomGone(code)) => {
                (Ended, Some((State::NoPlay, code)))
            }
            (Requesting, Input::MediaThere) => (Playing, Some((State::Playing, 0))),
            (Requesting, Input::Interrupted) => (Requesting, None),
            (Playing, Input::MediaThere) => (Playing, None),
            (Playing, Input::Interrupted) => (Requesting, Some((State::PlayRequesting, RETRYING))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Phase::{Ended, Playing, Requesting};

    #[test]
    fn every_input_has_its_way() {
        let table = [
            (Requesting, Input::MediaThere, Playing, Some((State::Playing, 0))),
            (Requesting, Input::Interrupted, Requesting, None),
            (Requesting, Input::Refused(1_004_025), Ended, Some((State::NoPlay, 1_004_025))),
            (Requesting, Input::Stop, Ended, Some((State::NoPlay, 0))),
            (Requesting, Input::RoomGone(0), Ended, Some((State::NoPlay, 0))),
            (Playing, Input::MediaThere, Playing, None),
            (Playing, Input::Interrupted, Requesting, Some((State::PlayRequesting, 1_004_020))),
            (Requesting, Input::RoomGone(1_002_053), Ended, Some((State::NoPlay, 1_002_053))),
            (Playing, Input::RoomGone(1_002_050), Ended, Some((State::NoPlay, 1_002_050))),
            (Playing, Input::Stop, Ended, Some((State::NoPlay, 0))),
            (Ended, Input::MediaThere, Ended, None),
        ];
        for (phase, input, next, announced) in table {
            assert_eq!(phase.next(input), (next, announced), "{phase:?} {input:?}");
        }
    }
}
