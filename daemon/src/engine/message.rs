//! Text messages: how they travel, how often they may, and their numbers.

use std::collections::VecDeque;
use std::time::Duration;

use zego_protocol::id;

use super::error::EngineError;
use super::request::MessageKind;
use crate::clock::Monotonic;

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

    /// How many may be sent in how long a time.
    const fn limit(self) -> (usize, Duration) {
        match self {
            Self::Broadcast => (1, Duration::from_millis(500)),
            Self::Barrage => (20, Duration::from_secs(1)),
            Self::Command => (200, Duration::from_secs(1)),
        }
    }
}

/// Refuses a text that cannot be sent.
pub(super) fn check(text: &str) -> Result<(), EngineError> {
    Ok(id::message(text)?)
}

/// When the last messages of one kind were sent. Knows no clock: the time is passed in.
#[derive(Debug)]
pub(super) struct Pace {
    kind: MessageKind,
    sent: VecDeque<Monotonic>,
}

impl Pace {
    /// Nothing was sent yet.
    pub(super) const fn new(kind: MessageKind) -> Self {
        Self { kind, sent: VecDeque::new() }
    }

    /// Takes note of one more message, or refuses it because it comes too soon.
    pub(super) fn take(&mut self, room_id: &str, now: Monotonic) -> Result<(), EngineError> {
        let (count, time) = self.kind.limit();
        while self.sent.front().is_some_and(|first| now.since(*first) >= time) {
            self.sent.pop_front();
        }
        if self.sent.len() >= count {
            return Err(EngineError::new(1_009_015, &format!("Messages to room '{room_id}' come too fast")));
        }
        self.sent.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasts_are_half_a_second_apart() {
        let mut pace = Pace::new(MessageKind::Broadcast);
        let at = Monotonic::from_millis;
        assert!(pace.take("lobby", at(1000)).is_ok());
        assert_eq!(pace.take("lobby", at(1499)).unwrap_err().code, 1_009_015);
        assert!(pace.take("lobby", at(1500)).is_ok());
    }

    #[test]
    fn barrages_may_come_in_bursts() {
        let mut pace = Pace::new(MessageKind::Barrage);
        for _ in 0..20 {
            assert!(pace.take("lobby", Monotonic::from_millis(5)).is_ok());
        }
        assert!(pace.take("lobby", Monotonic::from_millis(900)).is_err());
        assert!(pace.take("lobby", Monotonic::from_millis(1005)).is_ok());
    }

    #[test]
    fn topics_name_kinds() {
        for kind in [MessageKind::Broadcast, MessageKind::Barrage, MessageKind::Command] {
            assert_eq!(MessageKind::from_topic(kind.topic()), Some(kind));
        }
        assert_eq!(MessageKind::from_topic("lk.chat"), None);
    }
}
