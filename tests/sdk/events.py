"""What an SDK tells of its room, beyond tracks and messages, as events of `peer.py`."""

from collections.abc import Callable

from livekit import rtc

Tell = Callable[..., None]


def listen(room: rtc.Room, tell: Tell) -> None:
    """Tells what happens in a room, from now on."""
    room.on("active_speakers_changed", lambda who: tell("speakers", users=[speaker.identity for speaker in who]))
    room.on("connection_quality_changed", lambda who, quality: tell("quality", user=who.identity, quality=quality_name(quality)))
    room.on("participant_active", lambda who: tell("active", user=who.identity))
    room.on("participant_name_changed", lambda who, old, new: tell("name", user=who.identity, old=old, new=new))
    room.on("participant_metadata_changed", lambda who, old, new: tell("metadata", user=who.identity, new=new))
    room.on("participant_attributes_changed", lambda changed, who: tell("attributes", user=who.identity, changed=dict(changed)))
    room.on("room_metadata_changed", lambda old, new: tell("room_metadata", new=new))
    room.on("local_track_subscribed", lambda track: tell("subscribed", stream=track.name, kind=kind(track)))
    room.on("track_published", lambda publication, who: tell("remote_published", user=who.identity, stream=publication.name))
    room.on("track_unpublished", lambda publication, who: tell("remote_unpublished", user=who.identity, stream=publication.name))
    room.on("e2ee_state_changed", lambda who, state: tell("encryption", user=who.identity, state=int(state)))
    room.on("connection_state_changed", lambda state: tell("state", state=rtc.ConnectionState.Name(state)))
    for event in ("reconnecting", "reconnected", "token_refreshed"):
        room.on(event, lambda event=event: tell(event))


def kind(track: rtc.Track) -> str:
    """`video` or `audio`."""
    return "video" if track.kind == rtc.TrackKind.KIND_VIDEO else "audio"


def quality_name(quality: int) -> str:
    """`excellent`, `good`, `poor` or `lost`."""
    return rtc.ConnectionQuality(int(quality)).name.removeprefix("QUALITY_").lower()
