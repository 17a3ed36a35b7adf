//! What HTTP and WebSocket clients send, for the targets in `fuzz/`.

use axum::extract::ws::Message;
use axum::http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use livekit_protocol as proto;

use super::query::Parameters;
use super::socket;
use super::twirp::Encoding;
pub use super::whip::fuzzing::{fragment as whip_fragment, offer as whip_offer};

/// A signalling frame; the request in it, if there is one.
pub fn frame(data: &[u8], is_text: bool) -> Option<proto::signal_request::Message> {
    let message = match (is_text, std::str::from_utf8(data)) {
        (true, Ok(text)) => Message::Text(text.into()),
        _ => Message::Binary(data.to_vec().into()),
    };
    socket::request(&message)?.ok()
}

/// The query of `/rtc` and `/rtc/v1`.
pub fn join_request(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(uri) = format!("http://hub/rtc/v1?{text}").parse() else { return };
    let Ok(axum::extract::Query(parameters)) = axum::extract::Query::<Parameters>::try_from_uri(&uri) else { return };
    let _ = (parameters.zego(), parameters.two_connections(), parameters.one_connection());
    // Without the armour, so that it is reached more often.
    let parameters = Parameters { join_request: URL_SAFE_NO_PAD.encode(data), ..Parameters::default() };
    let _ = parameters.one_connection();
}

/// The body of a call of the RoomService, as each of its requests in turn.
pub fn twirp_body(data: &[u8]) {
    let Some((&kind, body)) = data.split_first() else { return };
    let named = if kind & 1 == 0 { "application/json" } else { "application/protobuf" };
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(named))]);
    let Ok(encoding) = Encoding::of(&headers) else { return };
    let _ = encoding.read::<proto::CreateRoomRequest>(body);
    let _ = encoding.read::<proto::ListRoomsRequest>(body);
    let _ = encoding.read::<proto::RoomParticipantIdentity>(body);
    let _ = encoding.read::<proto::MuteRoomTrackRequest>(body);
    let _ = encoding.read::<proto::UpdateSubscriptionsRequest>(body);
    let _ = encoding.read::<proto::SendDataRequest>(body);
    if let Ok(asked) = encoding.read::<proto::UpdateParticipantRequest>(body) {
        let proto::UpdateParticipantRequest { name, metadata, attributes, .. } = asked;
        let told = proto::ParticipantInfo { name, metadata, attributes, ..Default::default() };
        assert!(Encoding::Json.write(&told).is_ok());
    }
}
