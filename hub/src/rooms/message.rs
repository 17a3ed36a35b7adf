//! The hub's messages (`livekit.SignalResponse`).

use livekit_protocol as proto;
use proto::leave_request::Action;
use proto::request_response::{Reason, Request};
use proto::signal_response::Message as Response;

/// Version of livekit-server whose behaviour clients may expect; JavaScript's refuses to connect without one.
pub const SERVER_VERSION: &str = "1.13.5";
/// From 18 on, clients open data channels by number, without saying so on the wire.
pub const PROTOCOL: i32 = 17;
/// Clients ping this often, in seconds; zero crashes some.
pub const PING_INTERVAL_S: i32 = 5;
/// A connection on which nothing came for so long, in seconds, is lost.
pub const PING_TIMEOUT_S: i32 = 15;

/// The server as it introduces itself.
pub fn server_info() -> proto::ServerInfo {
    proto::ServerInfo {
        edition: proto::server_info::Edition::Standard as i32,
        version: SERVER_VERSION.into(),
        protocol: PROTOCOL,
        node_id: "zegohub".into(),
        ..Default::default()
    }
}

/// Participants' states.
pub fn update(participants: Vec<proto::ParticipantInfo>) -> Response {
    Response::Update(proto::ParticipantUpdate { participants })
}

/// The end of a session and what the client should do about it.
pub fn leave(reason: proto::DisconnectReason, action: Action) -> Response {
    Response::Leave(proto::LeaveRequest {
        can_reconnect: action != Action::Disconnect,
        reason: reason as i32,
        action: action as i32,
        regions: None,
    })
}

/// The end of a session for a reason that LiveKit has no word for: ZEGO's code stands in its place, for a client that knows
/// ZEGO; others hear that they were removed.
pub fn put_out(code: i32, knows_zego: bool) -> Response {
    let reason = if knows_zego { code } else { proto::DisconnectReason::ParticipantRemoved as i32 };
    Response::Leave(proto::LeaveRequest {
        can_reconnect: false,
        reason,
        action: Action::Disconnect as i32,
        regions: None,
    })
}

/// The outcome of a request; `message` explains a refusal.
pub fn outcome(request_id: u32, reason: Reason, message: String, request: Option<Request>) -> Response {
    Response::RequestResponse(proto::RequestResponse { request_id, reason: reason as i32, message, request })
}

/// The answer to a ping that came at `sent` (the client's time) and is answered at `now`.
pub fn pong(sent: i64, now: i64) -> Response {
    Response::PongResp(proto::Pong { last_ping_timestamp: sent, timestamp: now })
}
