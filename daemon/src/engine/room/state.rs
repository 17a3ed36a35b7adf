//! The states of a room, and what moves it from one to the next.

use zego_protocol::state::ZegoRoomStateChangedReason as Reason;

/// Where a room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first login is on its way.
    LoggingIn,
    /// In the room.
    Connected,
    /// Was in the room, the link broke.
    Reconnecting,
    /// Out, for good.
    Ended,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The server took us in, or the link is back.
    Joined,
    /// The server refused to let us in, with this code.
    Refused(i32),
    /// The link broke, or could not be made; it is tried again.
    LinkLost,
    /// The time for trying is used up.
    TimeUsedUp,
    /// The server put us out, with this code.
    KickedOut(i32),
    /// LogoutRoom.
    Logout,
}

/// A user id that is in use elsewhere, as a kick-out.
const ELSEWHERE_KICK: i32 = 1_002_050;
/// The same, as the refusal of a come-back.
const ELSEWHERE_REFUSAL: i32 = 1_002_086;
/// The link broke and is being made again.
const RETRYING: i32 = 1_002_051;
/// The time for trying is used up.
const GIVEN_UP: i32 = 1_002_053;

impl Phase {
    /// Where `input` leads, and what is announced about it (reason and code).
    #[must_use]
    pub const fn next(self, input: Input) -> (Self, Option<(Reason, i32)>) {
        use Phase::{Connected, Ended, LoggingIn, Reconnecting};
        match (self, input) {
            (Ended, _) => (Ended, None),
            (_, Input::Logout) => (Ended, Some((Reason::Logout, 0))),

            (LoggingIn, Input::Joined) => (Connected, Some((Reason::Logined, 0))),
            (LoggingIn, Input::Refused(code) | Input::KickedOut(code)) => (Ended, Some((Reason::LoginFailed, code))),
            (LoggingIn, Input::TimeUsedUp) => (Ended, Some((Reason::LoginFailed, GIVEN_UP))),
            // The first login is tried again silently: it is still the same login.
            (LoggingIn, Input::LinkLost) => (LoggingIn, None),

            (Connected, Input::LinkLost) => (Reconnecting, Some((Reason::Reconnecting, RETRYING))),
            (Connected, Input::KickedOut(code) | Input::Refused(code)) => (Ended, Some((Reason::KickOut, code))),
            // Time is counted only while the link is down.
            (Connected, Input::Joined | Input::TimeUsedUp) => (Connected, None),

            (Reconnecting, Input::Joined) => (Connected, Some((Reason::Reconnected, 0))),
            (Reconnecting, Input::LinkLost) => (Reconnecting, None),
            (Reconnecting, Input::TimeUsedUp) => (Ended, Some((Reason::ReconnectFailed, GIVEN_UP))),
            // Somebody else took our place while we were away: it was not us who was kicked, we may not come back.
            (Reconnecting, Input::Refused(ELSEWHERE_KICK) | Input::KickedOut(ELSEWHERE_KICK)) => {
                (Ended, Some((Reason::ReconnectFailed, ELSEWHERE_REFUSAL)))
            }
            (Reconnecting, Input::Refused(code)) => (Ended, Some((Reason::ReconnectFailed, code))),
            (Reconnecting, Input::KickedOut(code)) => (Ended, Some((Reason::KickOut, code))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Phase::{Connected, Ended, LoggingIn, Reconnecting};

    #[test]
    fn every_input_has_its_way() {
        let table = [
            (LoggingIn, Input::Joined, Connected, Some((Reason::Logined, 0))),
            (LoggingIn, Input::Refused(1_002_033), Ended, Some((Reason::LoginFailed, 1_002_033))),
            (LoggingIn, Input::LinkLost, LoggingIn, None),
            (LoggingIn, Input::TimeUsedUp, Ended, Some((Reason::LoginFailed, 1_002_053))),
            (LoggingIn, Input::Logout, Ended, Some((Reason::Logout, 0))),
            (Connected, Input::LinkLost, Reconnecting, Some((Reason::Reconnecting, 1_002_051))),
            (Connected, Input::KickedOut(1_002_055), Ended, Some((Reason::KickOut, 1_002_055))),
            (Connected, Input::Logout, Ended, Some((Reason::Logout, 0))),
            (Reconnecting, Input::Joined, Connected, Some((Reason::Reconnected, 0))),
            (Reconnecting, Input::LinkLost, Reconnecting, None),
            (Reconnecting, Input::TimeUsedUp, Ended, Some((Reason::ReconnectFailed, 1_002_053))),
            (Reconnecting, Input::Refused(1_002_050), Ended, Some((Reason::ReconnectFailed, 1_002_086))),
            (Reconnecting, Input::Refused(1_002_086), Ended, Some((Reason::ReconnectFailed, 1_002_086))),
            (Reconnecting, Input::Refused(1_002_078), Ended, Some((Reason::ReconnectFailed, 1_002_078))),
            (Reconnecting, Input::Logout, Ended, Some((Reason::Logout, 0))),
            (Ended, Input::Joined, Ended, None),
            (Ended, Input::Logout, Ended, None),
        ];
        for (phase, input, next, announced) in table {
            assert_eq!(phase.next(input), (next, announced), "{phase:?} {input:?}");
        }
    }

    #[test]
    fn announced_reasons_follow_the_vendors_chart() {
        let inputs = [
            Input::Joined,
            Input::Refused(1_002_033),
            Input::LinkLost,
            Input::TimeUsedUp,
            Input::KickedOut(1_002_055),
            Input::Logout,
        ];
        // Every walk of five steps from a login.
        let mut walks = vec![(LoggingIn, Reason::Logining)];
        for _ in 0..5 {
            let mut further = Vec::new();
            for (phase, reason) in &walks {
                for input in inputs {
                    let (next, announced) = phase.next(input);
                    if let Some((now, _)) = announced {
                        assert!(reason.may_be_followed_by(now), "{reason:?} then {now:?} ({phase:?}, {input:?})");
                    }
                    further.push((next, announced.map_or(*reason, |(now, _)| now)));
                }
            }
            walks = further;
        }
    }
}
