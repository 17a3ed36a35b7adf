//! The administrators' calls: `livekit.RoomService` over Twirp, `POST /twirp/livekit.RoomService/METHOD`. Which grant each needs, and what
//! its failures are called, is as LiveKit's servers have it.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use livekit_protocol as proto;
use zego_protocol::token::{Claims, TokenError, verify_server};

use super::twirp::{Encoding, Failure};
use super::{Door, bearer, unix_now_s};
use crate::core::{Errand, Input};
use crate::rooms::{AdministrationError, Moment, Rooms};

impl From<AdministrationError> for Failure {
    fn from(error: AdministrationError) -> Failure {
        let code = match error {
            AdministrationError::NoRoom(_) | AdministrationError::NoParticipant { .. } => "not_found",
            AdministrationError::NoRemoteUnmute => "failed_precondition",
            AdministrationError::Invalid(_) => "invalid_argument",
        };
        Failure::new(code, error.to_string())
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Failure {
        Failure::new("unauthenticated", error.sentence())
    }
}

/// Serves one call.
pub(super) async fn serve(
    door: State<Door>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    call(&door, &method, &headers, &body).await.map_err(IntoResponse::into_response)
}

async fn call(door: &Door, method: &str, headers: &HeaderMap, body: &[u8]) -> Result<Response, Failure> {
    let encoding = Encoding::of(headers)?;
    let claims = verify_server(bearer(headers).unwrap_or_default(), &door.apps, unix_now_s())?;
    let app = claims.app_id.clone();
    match method {
        "CreateRoom" => {
            let asked: proto::CreateRoomRequest = encoding.read(body)?;
            allow_create(&claims)?;
            encoding.write(&ask(door, move |rooms, now| rooms.create_room(&app, &asked, now)).await??)
        }
        "ListRooms" => {
            let asked: proto::ListRoomsRequest = encoding.read(body)?;
            claims.room_list.then_some(()).ok_or(TokenError::NotGranted("roomList"))?;
            let rooms = ask(door, move |rooms, _| rooms.list_rooms(&app, &asked.names)).await?;
            encoding.write(&proto::ListRoomsResponse { rooms })
        }
        "DeleteRoom" => {
            let asked: proto::DeleteRoomRequest = encoding.read(body)?;
            allow_create(&claims)?;
            ask(door, move |rooms, now| rooms.delete_room(&app, &asked.room, now)).await??;
            encoding.write(&proto::DeleteRoomResponse::default())
        }
        "ListParticipants" => {
            let asked: proto::ListParticipantsRequest = encoding.read(body)?;
            claims.allow_administer(&asked.room)?;
            let participants = ask(door, move |rooms, _| rooms.list_participants(&app, &asked.room)).await?;
            encoding.write(&proto::ListParticipantsResponse { participants })
        }
        "GetParticipant" => {
            let asked: proto::RoomParticipantIdentity = encoding.read(body)?;
            claims.allow_administer(&asked.room)?;
            encoding.write(&ask(door, move |rooms, _| rooms.get_participant(&app, &asked)).await??)
        }
        "RemoveParticipant" => {
            let asked: proto::RoomParticipantIdentity = encoding.read(body)?;
            claims.allow_administer(&asked.room)?;
            ask(door, move |rooms, now| rooms.remove_participant(&app, &asked, now)).await??;
            encoding.write(&proto::RemoveParticipantResponse::default())
        }
        "MutePublishedTrack" => {
            let asked: proto::MuteRoomTrackRequest = encoding.read(body)?;
            claims.allow_administer(&asked.room)?;
            let track = ask(door, move |rooms, now| rooms.mute_published_track(&app, &asked, now)).await??;
            encoding.write(&proto::MuteRoomTrackResponse { track })
        }
        "UpdateParticipant" => {
            let asked: proto::UpdateParticipantRequest = encoding.read(body)?;
            claims.allow_administer(&asked.room)?;
            encoding.write(&ask(door, move |rooms, now| rooms.update_participant(&app, &asked, now)).await??)
        }
        "UpdateSubscriptions" => {
            let asked: proto::UpdateSubscriptionsRequest = encoding.read(body)?;
            claims.allow_administer(&asked.room)?;
            ask(door, move |rooms, _| rooms.update_subscriptions(&app, asked)).await??;
            encoding.write(&proto::UpdateSubscriptionsResponse::default())
        }
        "SendData" => {
            let asked: proto::SendDataRequest = encoding.read(body)?;
            claims.allow_administer(&asked.room)?;
            ask(door, move |rooms, _| rooms.send_data(&app, asked)).await??;
            encoding.write(&proto::SendDataResponse::default())
        }
        "UpdateRoomMetadata" => {
            let asked: proto::UpdateRoomMetadataRequest = encoding.read(body)?;
            claims.allow_administer(&asked.room)?;
            encoding.write(&ask(door, move |rooms, _| rooms.update_room_metadata(&app, asked)).await??)
        }
        "ForwardParticipant" | "MoveParticipant" => {
            // Both requests have the same fields.
            let asked: proto::MoveParticipantRequest = encoding.read(body)?;
            claims.allow_administer(&asked.room)?;
            Err(Failure::new("unimplemented", format!("this server does not do {method}")))
        }
        other => Err(Failure::new("bad_route", format!("RoomService has no method '{other}'"))),
    }
}

fn allow_create(claims: &Claims) -> Result<(), TokenError> {
    if claims.room_create { Ok(()) } else { Err(TokenError::NotGranted("roomCreate")) }
}

/// Has something done in the rooms.
async fn ask<T: Send + 'static>(
    door: &Door,
    what: impl FnOnce(&mut Rooms, Moment) -> T + Send + 'static,
) -> Result<T, Failure> {
    let ending = || Failure::new("unavailable", "the hub is ending");
    let (errand, answered) = Errand::new(what);
    door.inbox.send(Input::Errand(errand)).await.map_err(|_| ending())?;
    answered.await.map_err(|_| ending())
}
