//! How many are in a room, and who is told so.

use super::*;

impl Stage {
    /// The counts that a connection was told since the last call: participants, publishers.
    fn counts(&mut self, connection: ConnectionKey) -> Vec<(u32, u32)> {
        let rooms = self.heard(connection).into_iter().filter_map(|message| match message {
            Response::Join(join) => join.room,
            Response::RoomUpdate(update) => update.room,
            _ => None,
        });
        rooms.map(|room| (room.num_participants, room.num_publishers)).collect()
    }

    /// Time passes by whole seconds, in which these say that they are there.
    fn seconds(&mut self, count: u32, present: &[ConnectionKey]) {
        for _ in 0..count {
            for connection in present {
                self.request(*connection, Request::Ping(0));
            }
            self.tick_after(Duration::from_secs(1));
        }
    }
}

#[test]
fn a_room_is_told_how_many_there_are_at_most_every_five_seconds() {
    let mut stage = Stage::new();
    stage.enter(1, "desk", 0, 0);
    stage.seconds(1, &[1]);
    assert_eq!(stage.counts(1), [(1, 0), (1, 0)], "as it joins, and as everybody is told then");
    stage.enter(2, "door", 0, 0);
    stage.enter(3, "hall", 0, 0);
    stage.seconds(4, &[1, 2, 3]);
    assert_eq!(stage.counts(1), []);
    assert_eq!(stage.counts(3), [(3, 0)], "as it joins");
    stage.seconds(1, &[1, 2, 3]);
    for connection in [1, 3] {
        assert_eq!(stage.counts(connection), [(3, 0)], "both changes at once");
    }
    stage.publish(2, "0", "audio", "MIC", "door-main");
    stage.seconds(5, &[1, 2, 3]);
    assert_eq!(stage.counts(1), [(3, 1)]);
    stage.publish(2, "1", "video", "CAM", "door-main");
    stage.seconds(60, &[1, 2, 3]);
    assert_eq!(stage.counts(1), [], "nobody is told what did not change");
    stage.request(2, Request::Leave(Default::default()));
    stage.seconds(1, &[1, 3]);
    assert_eq!(stage.counts(1), [(2, 0)], "at once after a quiet time");
}

#[test]
fn who_was_told_something_else_is_told_again() {
    let mut stage = Stage::new();
    stage.enter(1, "desk", 0, 0);
    stage.seconds(6, &[1]);
    stage.join(2, "door", |_| {});
    stage.join(3, "hall", |_| {});
    stage.request(2, Request::Leave(Default::default()));
    stage.request(3, Request::Leave(Default::default()));
    stage.join(4, "door", |_| {});
    stage.join(5, "hall", |_| {});
    stage.request(4, Request::Leave(Default::default()));
    stage.forget();
    stage.seconds(1, &[1, 5]);
    assert_eq!((stage.counts(1), stage.counts(5)), (vec![(2, 0)], vec![(2, 0)]), "it joined as the third");
    stage.seconds(5, &[1, 5]);
    let metadata = |text: &str| proto::UpdateRoomMetadataRequest { room: "lobby".into(), metadata: text.into() };
    stage.request(5, Request::Leave(Default::default()));
    stage.rooms.update_room_metadata("123456789", metadata("words")).expect("it is there");
    stage.collect();
    stage.join(6, "hall", |_| {});
    stage.forget();
    stage.seconds(1, &[1, 6]);
    assert_eq!(stage.counts(1), [(2, 0)], "with the words it was told of one");
}

#[test]
fn who_comes_back_knows_how_many_there_are() {
    let mut stage = Stage::new();
    stage.enter(1, "desk", 0, 0);
    stage.enter(2, "door", 0, 0);
    stage.seconds(6, &[1, 2]);
    let sid = stage.rooms.people[&stage.participant(2)].sid.clone();
    stage.rooms.disconnected(2, stage.now);
    stage.enter(3, "hall", 0, 0);
    stage.seconds(1, &[1, 3]);
    stage.forget();
    stage.join(4, "door", |join| join.resume = Some(sid));
    assert_eq!(stage.counts(4), [(3, 0)]);
    stage.seconds(10, &[1, 3, 4]);
    assert_eq!(stage.counts(1), []);
}

#[test]
fn the_hidden_count_and_agents_do_not() {
    let mut stage = Stage::new();
    stage.enter(1, "desk", 0, 0);
    stage.join(2, "watcher", |join| join.claims.hidden = true);
    for (connection, kind) in [(3, "agent"), (4, "egress")] {
        stage.join(connection, kind, |join| join.claims.participant_kind = kind.into());
    }
    stage.seconds(1, &[1, 2, 3, 4]);
    assert_eq!(stage.counts(1).last(), Some(&(2, 0)));
}
