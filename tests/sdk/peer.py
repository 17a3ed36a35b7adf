"""A participant made of the unmodified PyPI package `livekit`: what a phone's SDK does, in one process.

Publishes a picture with the machine-readable bar and the tone of the simulated devices as one stream, and writes down
everything that it receives. A program of its own, because it has to run in the network namespace of the server.

    peer.py --url ws://… --token … --folder DIR [--publish STREAM] [--codec vp8|h264|vp9|av1] [--stereo] [--silent] [--two-connections]
            [--simulcast] [--key KEY]

With `--simulcast` VP9 and AV1 have their layers in one stream (SVC).

Each line of its output is one JSON object with `event` (`connected`, `refused`, `published`, `track`, `ended`, `data`,
`text`, `left`, those of `events.py`). Each line of its input is a command: `data TOPIC [TO] TEXT` sends a reliable packet (TO `*` = everybody),
`text TOPIC [TO] TEXT` a text stream, `mute
video|audio`, `unmute video|audio`, `unpublish`, `flood TOPIC COUNT SIZE` (reliable packets as fast as they go, answered by the event `flooded`), `decoded STREAM` (answered by the event `decoded`), `packets` (of sound that it sent, answered by the event `packets`), `permit all|none` (to
receive what it publishes), `name|metadata TEXT`, `attribute NAME VALUE`, `call USER TEXT` (a procedure that gives the text back
in capitals, answered by the event `called`), `count TOPIC MS` (sends 0, 1, 2 … every so many ms; 0 stops that, answered by the event `counted`), `bytes TOPIC COUNT` (a stream of bytes, told as the event `bytes`), `reconnect` (join anew),
`want STREAM yes|no`, `quality STREAM low|medium|high`, `data-track NAME yes|no` (publishes one), `push NAME SIZE` (a frame on it), `follow NAME yes|no` (somebody else's, see
`data_tracks.py`); its end ends the program. Of a received stream S it writes `DIR/S.frames` (monotonic
seconds, bar's counter or -, width, height) and `DIR/S.wav`.
"""

import argparse
import asyncio
import json
import os
import sys
import time
import wave
from pathlib import Path

import numpy as np
from livekit import rtc
from livekit.rtc._proto.track_publication_pb2 import VideoQuality

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rig.bar import CELLS, ROWS, pack_bar, read_bar  # noqa: E402
from sdk.data_tracks import DataTracks  # noqa: E402
from sdk.events import kind, listen  # noqa: E402

WIDTH, HEIGHT, FPS, RATE = 640, 480, 30, 48_000

TOPICS = ("zego.broadcast", "zego.barrage", "zego.command")
"""Topics whose text streams are told."""


def tell(event: str, **words: object) -> None:
    # In one write and on a line of its own: the SDK's threads write to the same log.
    os.write(1, f"\n{json.dumps({'event': event, **words})}\n".encode())


def picture(counter: int, now: float) -> bytearray:
    """An I420 picture with the bar, and something that moves beneath it."""
    luma = np.empty((HEIGHT, WIDTH), np.uint8)
    luma[:] = (np.arange(WIDTH) // 4 + counter * 2) % 120 + 60
    bits = pack_bar(counter & 0xFFFF, int(now * 1000) & 0xFFFF)
    for cell in range(CELLS):
        white = bits >> (CELLS - 1 - cell) & 1
        luma[:ROWS, cell * WIDTH // CELLS : (cell + 1) * WIDTH // CELLS] = 235 if white else 16
    chroma = np.full((2, HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    chroma[:, ROWS:] = 110
    return bytearray(luma.tobytes() + chroma.tobytes())


def tone(begin: int) -> np.ndarray:
    """10 ms of the tone from sample `begin` of the monotonic clock: 1 kHz, -12 dBFS peak, 100 ms of each second."""
    at = np.arange(begin, begin + RATE // 100)
    wave_ = np.sin(2 * np.pi * 1000 * at / RATE) * 10 ** (-12 / 20) * 32767
    return np.where(at % RATE < RATE // 10, wave_, 0).astype(np.int16)


def sides(begin: int) -> np.ndarray:
    """10 ms of two tones that go on, -12 dBFS peak: 440 Hz on the left, 1 kHz on the right."""
    at = np.arange(begin, begin + RATE // 100)
    waves = np.sin(2 * np.pi * np.outer(at, [440, 1000]) / RATE)
    return (waves * 10 ** (-12 / 20) * 32767).astype(np.int16)


class Peer:
    def __init__(self, wishes: argparse.Namespace):
        self.wishes = wishes
        self.room = rtc.Room()
        self.folder = Path(wishes.folder)
        self.tasks: set[asyncio.Task] = set()
        self.tracks: dict[str, rtc.LocalTrack] = {}
        self.pictures: dict[str, rtc.Track] = {}
        self.over = asyncio.Event()
        self.counted = asyncio.Event()
        self.data_tracks = DataTracks(self.room, tell)

    def spawn(self, work) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.done)

    def done(self, task: asyncio.Task) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception():
            raise task.exception()

    async def run(self) -> None:
        self.room.on("track_subscribed", self.on_track)
        self.room.on("track_unsubscribed", lambda t, p, o: tell("ended", stream=p.name, kind=kind(t)))
        self.room.on("track_muted", lambda o, p: tell("muted", user=o.identity, stream=p.name))
        self.room.on("track_unmuted", lambda o, p: tell("unmuted", user=o.identity, stream=p.name))
        self.room.on("data_received", self.on_data)
        for topic in TOPICS:
            self.room.register_text_stream_handler(topic, lambda reader, user: self.spawn(self.on_text(reader, user)))
        self.room.on("participant_connected", lambda o: tell("joined", user=o.identity, name=o.name))
        self.room.on("participant_disconnected", lambda o: tell("left", user=o.identity))
        self.room.on("disconnected", lambda reason: (tell("disconnected", reason=int(reason)), self.over.set()))
        listen(self.room, tell)
        self.room.register_byte_stream_handler("bytes", lambda reader, user: self.spawn(self.on_bytes(reader, user)))
        options = rtc.RoomOptions(single_peer_connection=not self.wishes.two_connections)
        if self.wishes.key:
            options.encryption = rtc.E2EEOptions()
            options.encryption.key_provider_options.shared_key = self.wishes.key.encode()
        try:
            await self.room.connect(self.wishes.url, self.wishes.token, options)
        except rtc.ConnectError as error:
            tell("refused", message=error.message)
            return
        self.room.local_participant.register_rpc_method("shout", self.shout)
        users = [p.identity for p in self.room.remote_participants.values()]
        tell("connected", user=self.room.local_participant.identity, users=users)
        if self.wishes.publish:
            await self.publish(self.wishes.publish)
        self.spawn(self.obey())
        await self.over.wait()
        await self.room.disconnect()

    async def publish(self, stream: str) -> None:
        video, audio = rtc.VideoSource(WIDTH, HEIGHT), rtc.AudioSource(RATE, 1 + self.wishes.stereo, queue_size_ms=60)
        self.tracks = {
            "video": rtc.LocalVideoTrack.create_video_track(stream, video),
            "audio": rtc.LocalAudioTrack.create_audio_track(stream, audio),
        }
        layered = self.wishes.simulcast and self.wishes.codec in ("vp9", "av1")
        me = self.room.local_participant
        await me.publish_track(
            self.tracks["audio"],
            rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, stream=stream, dtx=self.wishes.silent, red=False),
        )
        await me.publish_track(
            self.tracks["video"],
            rtc.TrackPublishOptions(
                source=rtc.TrackSource.SOURCE_CAMERA,
                stream=stream,
                video_codec=rtc.VideoCodec.Value(self.wishes.codec.upper()),
                simulcast=self.wishes.simulcast,
                scalability_mode="L3T3_KEY" if layered else None,
                video_encoding=rtc.VideoEncoding(max_framerate=FPS, max_bitrate=1_500_000),
            ),
        )
        tell("published", stream=stream)
        self.spawn(self.film(video))
        self.spawn(self.sound(audio))

    async def film(self, source: rtc.VideoSource) -> None:
        counter, due = 0, time.monotonic()
        while True:
            now = time.monotonic()
            frame = rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.I420, picture(counter, now))
            source.capture_frame(frame, timestamp_us=int(now * 1e6))
            counter += 1
            due += 1 / FPS
            await asyncio.sleep(max(0, due - time.monotonic()))

    async def sound(self, source: rtc.AudioSource) -> None:
        at = int(time.monotonic() * RATE)
        while True:
            samples = sides(at) if self.wishes.stereo else tone(at)
            samples = samples * (not self.wishes.silent)
            at += len(samples)
            channels = source.num_channels
            await source.capture_frame(rtc.AudioFrame(samples.tobytes(), RATE, channels, len(samples)))

    def on_track(self, track: rtc.Track, publication: rtc.RemoteTrackPublication, owner: rtc.RemoteParticipant) -> None:
        if kind(track) == "video":
            self.pictures[publication.name] = track
        tell("track", user=owner.identity, stream=publication.name, kind=kind(track))
        self.spawn(self.watch(track, publication.name) if kind(track) == "video" else self.hear(track, publication.name))

    def file(self, name: str) -> Path:
        """A new file: of a stream that came again, whoever still writes to the old one does not write to this one."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        return path

    async def watch(self, track: rtc.Track, stream: str) -> None:
        with self.file(f"{stream}.frames").open("w", buffering=1) as log:
            async for event in rtc.VideoStream(track, format=rtc.VideoBufferType.I420):
                frame = event.frame
                luma = np.frombuffer(frame.data, np.uint8, frame.width * frame.height).reshape(frame.height, frame.width)
                bar = read_bar(luma)
                log.write(f"{time.monotonic():.6f} {bar.counter if bar else '-'} {frame.width} {frame.height}\n")

    async def hear(self, track: rtc.Track, stream: str) -> None:
        with wave.open(str(self.file(f"{stream}.wav")), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
                file.writeframes(bytes(event.frame.data))

    def on_data(self, packet: rtc.DataPacket) -> None:
        user = packet.participant.identity if packet.participant else ""
        reliable = packet.kind == rtc.DataPacketKind.KIND_RELIABLE
        tell("data", user=user, topic=packet.topic or "", text=packet.data.decode(), reliable=reliable)

    async def on_text(self, reader: rtc.TextStreamReader, user: str) -> None:
        text, info = await reader.read_all(), reader.info
        tell("text", user=user, topic=info.topic, text=text, id=info.stream_id, time_ms=info.timestamp)

    async def on_bytes(self, reader: rtc.ByteStreamReader, user: str) -> None:
        data = b"".join([chunk async for chunk in reader])
        tell("bytes", user=user, topic=reader.info.topic, count=len(data), sum=sum(data))

    async def shout(self, invocation: rtc.RpcInvocationData) -> str:
        if not invocation.payload:
            raise rtc.RpcError(1234, "there is nothing to shout")
        return f"{invocation.caller_identity}: {invocation.payload.upper()}"

    async def call(self, user: str, text: str) -> None:
        try:
            answer = await self.room.local_participant.perform_rpc(
                destination_identity=user, method="shout", payload=text, response_timeout=5.0
            )
            tell("called", answer=answer)
        except rtc.RpcError as error:
            tell("called", code=error.code, message=error.message)

    async def count(self, topic: str, every: float) -> None:
        number = 0
        while not self.counted.is_set():
            await self.room.local_participant.publish_data(str(number), topic=topic)
            number += 1
            await asyncio.sleep(every)
        tell("counted", count=number)

    def publications(self, stream: str) -> list[rtc.RemoteTrackPublication]:
        """Those of a stream that others publish."""
        everything = (p for other in self.room.remote_participants.values() for p in other.track_publications.values())
        return [publication for publication in everything if publication.name == stream]

    async def obey(self) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        me = self.room.local_participant
        while line := (await reader.readline()).decode().strip():
            match line.split(" ", 3):
                case ["data", topic, to, text]:
                    await me.publish_data(text, topic=topic, destination_identities=[] if to == "*" else [to])
                case ["flood", topic, count, size]:
                    for _ in range(int(count)):
                        await me.publish_data("x" * int(size), topic=topic)
                    tell("flooded")
                case ["text", topic, to, text]:
                    info = await me.send_text(text, topic=topic, destination_identities=None if to == "*" else [to])
                    tell("sent", id=info.stream_id, time_ms=info.timestamp)
                case ["mute", which]:
                    self.tracks[which].mute()
                case ["unmute", which]:
                    self.tracks[which].unmute()
                case ["unpublish"]:
                    for publication in list(me.track_publications.values()):
                        await me.unpublish_track(publication.sid)
                case ["decoded", stream]:
                    found = [s.inbound_rtp.inbound for s in await self.pictures[stream].get_stats() if s.HasField("inbound_rtp")]
                    tell("decoded", stream=stream, frames=max([s.frames_decoded for s in found], default=0))
                case ["call", user]:
                    self.spawn(self.call(user, ""))
                case ["call", user, *words]:
                    self.spawn(self.call(user, " ".join(words)))
                case ["count", _, "0"]:
                    self.counted.set()
                case ["count", topic, ms]:
                    self.spawn(self.count(topic, int(ms) / 1000))
                case ["bytes", topic, count]:
                    writer = await me.stream_bytes("file", topic=topic, total_size=int(count))
                    await writer.write(bytes(n % 251 for n in range(int(count))))
                    await writer.aclose()
                case ["name", name]:
                    await me.set_name(name)
                case ["metadata", text]:
                    await me.set_metadata(text)
                case ["attribute", name, value]:
                    await me.set_attributes({name: value})
                case ["reconnect"]:
                    await self.room.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
                case ["want", stream, whether]:
                    for publication in self.publications(stream):
                        publication.set_subscribed(whether == "yes")
                case ["quality", stream, quality]:
                    for publication in self.publications(stream):
                        if publication.kind == rtc.TrackKind.KIND_VIDEO:
                            publication.set_video_quality(VideoQuality.Value(f"VIDEO_QUALITY_{quality.upper()}"))
                case ["data-track", name, "yes"]:
                    await self.data_tracks.publish(name)
                case ["data-track", name, "no"]:
                    await self.data_tracks.unpublish(name)
                case ["push", name, size]:
                    self.data_tracks.push(name, int(size))
                case ["follow", name, whether]:
                    self.data_tracks.follow(name, whether == "yes")
                case ["permit", whom]:
                    me.set_track_subscription_permissions(allow_all_participants=whom == "all")
                case ["packets"]:
                    stats = await self.tracks["audio"].get_stats()
                    tell("packets", count=max([s.outbound_rtp.sent.packets_sent for s in stats if s.HasField("outbound_rtp")], default=0))
                case _:
                    tell("unknown", line=line)
        self.over.set()


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--url", "--token", "--folder"):
        parser.add_argument(name, required=True)
    parser.add_argument("--publish", default="")
    parser.add_argument("--codec", default="vp8")
    parser.add_argument("--stereo", action="store_true", help="publish two channels, with a tone of its own in each")
    parser.add_argument("--silent", action="store_true", help="publish silence, and let the codec stop while it lasts")
    parser.add_argument("--two-connections", action="store_true")
    parser.add_argument("--simulcast", action="store_true")
    parser.add_argument("--key", default="", help="encrypt end to end with this key")

    async def run() -> None:
        await Peer(parser.parse_args()).run()

    asyncio.run(run())
    sys.stdout.flush()
    # Without the SDK's own end: sound that is on its way to it then makes it abort.
    os._exit(0)


if __name__ == "__main__":
    main()
