"""Data tracks of one participant of the PyPI package `livekit`: published, and followed."""

import asyncio
from collections.abc import Callable

from livekit import rtc
from livekit.rtc.participant import PublishDataTrackError


class DataTracks:
    """Tells `data_track` and `data_track_ended` of others' tracks, and of a followed one each frame: `frame` (its size and its sum)."""

    def __init__(self, room: rtc.Room, tell: Callable[..., None]):
        self.room, self.tell = room, tell
        self.own: dict[str, rtc.LocalDataTrack] = {}
        self.others: dict[str, rtc.RemoteDataTrack] = {}
        self.followed: dict[str, asyncio.Task] = {}
        room.on("data_track_published", self.on_published)
        room.on("data_track_unpublished", lambda sid: tell("data_track_ended", sid=sid))

    def on_published(self, track: rtc.RemoteDataTrack) -> None:
        self.others[track.info.name] = track
        self.tell("data_track", user=track.publisher_identity, track=track.info.name, sid=track.info.sid)

    async def publish(self, name: str) -> None:
        """Publishes a track; tells `data_track_published`, or `data_track_refused`."""
        try:
            self.own[name] = await self.room.local_participant.publish_data_track(name=name)
        except PublishDataTrackError as error:
            self.tell("data_track_refused", message=str(error))
            return
        self.tell("data_track_published", track=name, sid=self.own[name].info.sid)

    async def unpublish(self, name: str) -> None:
        await self.own.pop(name).unpublish()

    def push(self, name: str, size: int) -> None:
        """Sends one frame."""
        self.own[name].try_push(rtc.DataTrackFrame(payload=bytes(n % 251 for n in range(size))))

    def follow(self, name: str, whether: bool) -> None:
        if whether:
            self.followed[name] = asyncio.create_task(self.read(name, self.others[name].subscribe()))
        else:
            self.followed.pop(name).cancel()

    async def read(self, name: str, stream: rtc.DataTrackStream) -> None:
        try:
            async for frame in stream:
                self.tell("frame", track=name, size=len(frame.payload), sum=sum(frame.payload))
        finally:
            await stream.aclose()
