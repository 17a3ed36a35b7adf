//! Somebody who joins with a real token, for the tests and for the targets in `fuzz/`.

use zego_protocol::token::{App, Claims, TokenRequest, generate_livekit, verify_any};

use super::{Join, Path};

/// What a real token of AppID `app` grants.
pub fn claims(app: &str, user: &str, room: &str) -> Claims {
    let secret = "0123456789abcdef0123456789abcdef";
    let mut request = TokenRequest::new(app, secret, user);
    request.room_id = Some(room.to_owned());
    let token = generate_livekit(&request, 1_000).expect("a token");
    verify_any(&token, &[App::new(app, secret)], 1_000).expect("a good token")
}

/// How `user` joins the room `lobby`, with nothing wished for.
pub fn join(user: &str) -> Join {
    Join {
        claims: claims("123456789", user, "lobby"),
        room: "lobby".into(),
        name: user.to_uppercase(),
        metadata: String::new(),
        attributes: Default::default(),
        path: Path::One,
        protocol: 17,
        client_protocol: 2,
        capabilities: Vec::new(),
        stereo_by_offer: false,
        auto_subscribe: true,
        auto_subscribe_data: false,
        resume: None,
        add_tracks: Vec::new(),
        offer: None,
        sync_state: None,
        zego: Default::default(),
        watches: None,
    }
}
