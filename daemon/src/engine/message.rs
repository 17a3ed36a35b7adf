//! Text messages: how they travel, how often they may, and their numbers.

use std::collections::VecDeque;
use std::time::Duration;

use zego_protocol::id;

use super::error::EngineError;
use super::request::MessageKind;
use crate::clock::Monotonic;

/// The largest number that every JSON reader keeps exactly.
const NUMBER_MAX: u64 = (1 << 53) - 1;

impl MessageKind {
    /// The topic of the data packet that carries it.
    pub(super) const fn topic(self) -> &'static str {
        match self {
            Self::Broadcast => "zego.broadcast",
            Self::Barrage => "zego.barrage",
            Self::Command => "zego.command",
        }
    }

    /// The kind that travels under a topic.
    pub(super) fn from_topic(topic: &str) -> Option<Self> {
        [Self::Broadcast, Self::Barrage, Self::Command].into_iter().find(|kind| kind.topic() == topic)
    }

    /// Whether it must arrive.
    pub(super) const fn is_reliable(self) -> bool {
        !matches!(self, Self::Barrage)
    }
}

/// Refuses a text that cannot be sent.
pub(super) fn check(text: &str) -> Result<(), EngineError> {
    Ok(id::message(text)?)
}

/// When something was done last. Knows no clock: the time is passed in.
#[derive(Debug, Default)]
pub(super) struct Window {
    done: VecDeque<Monotonic>,
}

impl Window {
    /// Takes note of one more, unless there were as many as `limit` allows in its time.
    pub(super) fn take(&mut self, limit: (usize, Duration), now: Monotonic) -> bool {
        let allowed = !self.is_full(limit, now);
        if allowed {
            self.done.push_back(now);
        }
        allowed
    }

    /// Whether there were as many as `limit` allows in its time.
    fn is_full(&mut self, limit: (usize, Duration), now: Monotonic) -> bool {
        let (count, time) = limit;
        while self.done.front().is_some_and(|first| now.since(*first) >= time) {
            self.done.pop_front();
        }
        self.done.len() >= count
    }
}

/// Broadcasts of everybody in a room, and barrages.
const ROOM_LIMITS: [(usize, Duration); 2] = [(10, Duration::from_secs(1)), (20, Duration::from_secs(1))];

/// How fast the messages of each kind follow each other in a room. Everybody hears everybody, so everybody knows when the room is
/// full, whatever the server counts.
#[derive(Debug, Default)]
pub(super) struct Paces {
    /// Of everybody: broadcasts, barrages.
    room: [Window; 2],
    broadcasts: Window,
    barrages: Window,
    /// To one user, and to several.
    commands: (Window, Window),
}

impl Paces {
    /// Takes note of one more message to so many users (0 = everybody), or refuses it because it comes too soon.
    ///
    /// # Errors
    /// 1009015 for a broadcast, 1002071 for others; 1002072 when it is the room's users together who are too fast.
    pub(super) fn take(
        &mut self,
        kind: MessageKind,
        to: usize,
        room_id: &str,
        now: Monotonic,
    ) -> Result<(), EngineError> {
        let second = Duration::from_secs(1);
        let room = Self::place(kind).map(|place| (&mut self.room[place], ROOM_LIMITS[place]));
        let (window, limit, code) = match (kind, to) {
            (MessageKind::Broadcast, _) => (&mut self.broadcasts, (1, second / 2), 1_009_015),
            (MessageKind::Barrage, _) => (&mut self.barrages, (20, second), 1_002_071),
            (MessageKind::Command, 1) => (&mut self.commands.0, (200, second), 1_002_071),
            (MessageKind::Command, _) => (&mut self.commands.1, (10, second), 1_002_071),
        };
        let refused = |code| Err(EngineError::new(code, &format!("Messages to room '{room_id}' come too fast")));
        if window.is_full(limit, now) {
            return refused(code);
        }
        if let Some((everybody, limit)) = room
            && !everybody.take(limit, now)
        {
            return refused(1_002_072);
        }
        window.take(limit, now);
        Ok(())
    }

    /// Takes note of a message of somebody else.
    pub(super) fn heard(&mut self, kind: MessageKind, now: Monotonic) {
        if let Some(place) = Self::place(kind) {
            // More than the limit change nothing.
            self.room[place].take(ROOM_LIMITS[place], now);
        }
    }

    const fn place(kind: MessageKind) -> Option<usize> {
        match kind {
            MessageKind::Broadcast => Some(0),
            MessageKind::Barrage => Some(1),
            MessageKind::Command => None,
        }
    }
}

/// The numbers of the messages of one login. They grow with the time and begin somewhere in a millisecond, so that those of two
/// logins or two senders do not collide.
#[derive(Debug)]
pub(super) struct Numbers {
    offset: u64,
    last: u64,
}

impl Numbers {
    /// `random` chooses where in a millisecond they begin.
    pub(super) const fn new(random: u64) -> Self {
        Self { offset: random % 1000, last: 0 }
    }

    /// The number of a message that is sent at `now_ms`, Unix milliseconds.
    pub(super) fn next(&mut self, now_ms: u64) -> u64 {
        self.last = (now_ms * 1000 + self.offset).max(self.last + 1);
        self.last
    }
}

/// The number of a message whose sender counts in its own way: the same for every receiver (FNV-1a, 53 bits).
pub(super) fn number_of(id: &str) -> u64 {
    if let Ok(number) = id.parse::<u64>() {
        return number;
    }
    let hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash & NUMBER_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `count` messages at once are taken, the code of the first that is not, and after how long the next may come.
    fn burst(kind: MessageKind, to: usize, count: usize) -> (usize, i32, u64) {
        let mut paces = Paces::default();
        let at = Monotonic::from_millis;
        let outcomes: Vec<_> = (0..count).map(|_| paces.take(kind, to, "lobby", at(1000))).collect();
        let taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let code = outcomes.into_iter().find_map(Result::err).map_or(0, |error| error.code);
        let next = (1000..3000).find(|ms| paces.take(kind, to, "lobby", at(*ms)).is_ok());
        (taken, code, next.unwrap_or(0) - 1000)
    }

    #[test]
    fn each_kind_has_its_pace() {
        assert_eq!(burst(MessageKind::Broadcast, 0, 3), (1, 1_009_015, 500));
        assert_eq!(burst(MessageKind::Barrage, 0, 30), (20, 1_002_071, 1000));
        assert_eq!(burst(MessageKind::Command, 1, 300), (200, 1_002_071, 1000));
        assert_eq!(burst(MessageKind::Command, 0, 30), (10, 1_002_071, 1000));
        assert_eq!(burst(MessageKind::Command, 5, 30), (10, 1_002_071, 1000));
    }

    #[test]
    fn the_users_of_a_room_share_its_pace() {
        let at = Monotonic::from_millis;
        for (kind, others, code) in [
            (MessageKind::Broadcast, 9, 0),
            (MessageKind::Broadcast, 10, 1_002_072),
            (MessageKind::Barrage, 19, 0),
            (MessageKind::Barrage, 500, 1_002_072),
            (MessageKind::Command, 500, 0),
        ] {
            let mut paces = Paces::default();
            (0..others).for_each(|_| paces.heard(kind, at(1000)));
            let outcome = paces.take(kind, 0, "lobby", at(1999));
            assert_eq!(outcome.map_or_else(|error| error.code, |()| 0), code, "{kind:?} after {others}");
            assert!(paces.take(kind, 0, "lobby", at(2500)).is_ok(), "{kind:?} a second later");
        }
    }

    #[test]
    fn numbers_grow_and_are_exact_everywhere() {
        let mut numbers = Numbers::new(123_456);
        let now_ms = 1_800_000_000_000;
        assert_eq!(numbers.next(now_ms), 1_800_000_000_000_456);
        assert_eq!(numbers.next(now_ms), 1_800_000_000_000_457);
        assert_eq!(numbers.next(now_ms - 5000), 1_800_000_000_000_458, "a clock that is set back");
        assert!(numbers.next(4_000_000_000_000) < NUMBER_MAX);
    }

    #[test]
    fn other_senders_ids_become_numbers() {
        assert_eq!(number_of("1800000000000456"), 1_800_000_000_000_456);
        let uuid = "0b1e4a3c-9d0f-4c55-8f0a-2f7d5b1c9e11";
        assert_eq!(number_of(uuid), number_of(uuid));
        assert_ne!(number_of(uuid), number_of("0b1e4a3c-9d0f-4c55-8f0a-2f7d5b1c9e12"));
        assert!(number_of(uuid) <= NUMBER_MAX);
    }

    #[test]
    fn topics_name_kinds() {
        for kind in [MessageKind::Broadcast, MessageKind::Barrage, MessageKind::Command] {
            assert_eq!(MessageKind::from_topic(kind.topic()), Some(kind));
        }
        assert_eq!(MessageKind::from_topic("lk.chat"), None);
    }
}
