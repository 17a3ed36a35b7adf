//! What a room server says, for the targets in `fuzz/`.

use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_response::Message as Response;

use super::extra_info::RoomExtraInfo;
use super::room::Room;

/// Signalling frames: people, tracks and extra information come and go.
pub fn signalling(frames: &[Vec<u8>]) {
    let mut room = Room::new("door");
    for frame in frames {
        let Ok(frame) = proto::SignalResponse::decode(frame.as_slice()) else { continue };
        let changes = match frame.message {
            Some(Response::Update(update)) => room.apply(&update.participants),
            Some(Response::Join(join)) => {
                let _ = join.room.and_then(|room| RoomExtraInfo::of_room(&room.metadata));
                room.replace(&join.other_participants)
            }
            _ => continue,
        };
        drop(changes);
        let _ = RoomExtraInfo::of_people(room.people());
        for stream in room.streams() {
            assert!(!room.tracks(&stream.stream_id).is_empty(), "a stream without a track");
            assert!(room.user(&stream.user.id).id == stream.user.id);
        }
    }
}
