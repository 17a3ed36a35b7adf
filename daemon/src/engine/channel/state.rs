//! The states of a publisher, and what moves it from one to the next.

use zego_protocol::state::ZegoPublisherState as State;

/// Where a publisher is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waits for the room, the devices or the server's answer.
    Requesting,
    /// Media goes out.
    Publishing,
    /// Over.
    Ended,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The server took the stream, and the devices are open.
    Published,
    /// The room's link broke; it is tried again.
    LinkLost,
    /// The server or a device refused, with this code.
    Refused(i32),
    /// The room is gone, with this code (0 = logged out).
    RoomGone(i32),
    /// StopPublishing.
    Stop,
}

/// Publishing was interrupted and is being resumed.
const RETRYING: i32 = 1_003_020;
/// Publishing could not be resumed in the retry time.
const GIVEN_UP: i32 = 1_003_021;

impl Phase {
    /// Where `input` leads, and what is announced about it (state and code).
    #[must_use]
    pub const fn next(self, input: Input) -> (Self, Option<(State, i32)>) {
        use Phase::{Ended, Publishing, Requesting};
        match (self, input) {
            (Ended, _) => (Ended, None),
            (Requesting | Publishing, Input::Stop) => (Ended, Some((State::NoPublish, 0))),
            (Requesting | Publishing, Input::Refused(code)) => (Ended, Some((State::NoPublish, code))),
            (Requesting | Publishing, Input::RoomGone(1_002_053)) => (Ended, Some((State::NoPublish, GIVEN_UP))),
            (Requesting | Publishing, Input::RoomGone(code)) => (Ended, Some((State::NoPublish, code))),
            (Requesting, Input::Published) => (Publishing, Some((State::Publishing, 0))),
            (Requesting, Input::LinkLost) => (Requesting, None),
            (Publishing, Input::Published) => (Publishing, None),
            (Publishing, Input::LinkLost) => (Requesting, Some((State::PublishRequesting, RETRYING))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Phase::{Ended, Publishing, Requesting};

    #[test]
    fn every_input_has_its_way() {
        let table = [
            (Requesting, Input::Published, Publishing, Some((State::Publishing, 0))),
            (Requesting, Input::LinkLost, Requesting, None),
            (Requesting, Input::Refused(1_003_028), Ended, Some((State::NoPublish, 1_003_028))),
            (Requesting, Input::Stop, Ended, Some((State::NoPublish, 0))),
            (Requesting, Input::RoomGone(0), Ended, Some((State::NoPublish, 0))),
            (Publishing, Input::Published, Publishing, None),
            (Publishing, Input::LinkLost, Requesting, Some((State::PublishRequesting, 1_003_020))),
            (Publishing, Input::RoomGone(1_002_053), Ended, Some((State::NoPublish, 1_003_021))),
            (Publishing, Input::RoomGone(1_002_050), Ended, Some((State::NoPublish, 1_002_050))),
            (Publishing, Input::Refused(1_006_006), Ended, Some((State::NoPublish, 1_006_006))),
            (Publishing, Input::Stop, Ended, Some((State::NoPublish, 0))),
            (Ended, Input::Published, Ended, None),
            (Ended, Input::Stop, Ended, None),
        ];
        for (phase, input, next, announced) in table {
            assert_eq!(phase.next(input), (next, announced), "{phase:?} {input:?}");
        }
    }
}
