//! Clients are told of a TURN server when they join, and again, with later credentials, when they come back.

use super::*;
use crate::turn::{Credentials, TurnServer};

/// Names in the servers among messages.
fn names(messages: &[Response]) -> Vec<String> {
    let servers = messages.iter().flat_map(|message| match message {
        Response::Join(join) => join.ice_servers.clone(),
        Response::Reconnect(reconnect) => reconnect.ice_servers.clone(),
        _ => Vec::new(),
    });
    servers.map(|server| server.username).collect()
}

#[test]
fn credentials_are_renewed_when_a_client_resumes() {
    let mut stage = Stage::new();
    let credentials = Credentials::Secret { secret: "s".into(), ttl: Duration::from_secs(600) };
    stage.rooms.settings.turn = Some(TurnServer { urls: vec!["turn:a".into()], credentials });
    stage.enter(1, "door", 0, 0);
    let sid = stage.rooms.people[&stage.participant(1)].sid.clone();
    assert_eq!(names(&stage.heard(1)), [format!("1700000600:{sid}")]);
    stage.tick_after(Duration::from_secs(10));
    stage.join(2, "door", |join| join.resume = Some(sid.clone()));
    assert_eq!(names(&stage.heard(2)), [format!("1700000610:{sid}")]);
}

#[test]
fn without_a_server_nothing_is_told() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    assert!(names(&stage.heard(1)).is_empty());
}
