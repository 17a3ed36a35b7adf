#!/usr/bin/python3
"""A WHIP publisher or WHEP player whose WebRTC is GStreamer's (webrtcbin, as in its WHIP and WHEP elements), with the certificate that it
makes by itself: an RSA one. For Debian's python3 with its gi.

    gst_session.py URL TOKEN VP8            # or H264: publishes a test picture, and a tone of 800 Hz
    gst_session.py URL TOKEN VP8 plays      # says "video" and "audio" when a second of it was decoded

Candidates are told by PATCH as they are found. SIGTERM ends the session by DELETE.
"""

import signal
import sys
import urllib.request
from urllib.parse import urljoin

import gi

for module in ("Gst", "GstSdp", "GstWebRTC"):
    gi.require_version(module, "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

ENCODERS = {
    "VP8": "vp8enc deadline=1 keyframe-max-dist=30 ! rtpvp8pay",
    "H264": "openh264enc gop-size=30 ! rtph264pay config-interval=1",
}
DECODERS = {
    "VP8": "rtpvp8depay ! vp8dec",
    "H264": "rtph264depay ! h264parse ! openh264dec",
    "OPUS": "rtpopusdepay ! opusdec",
}
SOURCES = (
    "webrtcbin name=web bundle-policy=max-bundle"
    " audiotestsrc is-live=true freq=800 ! audioconvert ! audioresample ! queue ! opusenc ! rtpopuspay pt=96"
    " ! application/x-rtp,media=audio,encoding-name=OPUS,payload=96 ! web."
    " videotestsrc is-live=true ! video/x-raw,width=640,height=480,framerate=15/1 ! videoconvert ! queue ! {encoder} pt=97"
    " ! application/x-rtp,media=video,encoding-name={codec},payload=97 ! web."
)
RECEIVED = (
    "application/x-rtp,media=audio,encoding-name=OPUS,payload=96,clock-rate=48000,encoding-params=(string)2",
    "application/x-rtp,media=video,encoding-name={codec},payload=97,clock-rate=90000"
    ",packetization-mode=(string)1,profile-level-id=(string)42e01f",
)
SECOND = {"audio": 50, "video": 15}
"""Sounds and pictures."""
STABLE = GstWebRTC.WebRTCSignalingState.STABLE
SENDONLY = GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY
RECVONLY = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY


class Session:
    """One session at an endpoint."""

    def __init__(self, url: str, token: str, codec: str, plays: str = ""):
        self.url, self.token, self.plays = url, token, bool(plays)
        self.session = self.etag = self.head = ""
        self.candidates: list[str] = []
        self.pipeline = Gst.Pipeline.new()
        content = "webrtcbin name=web bundle-policy=max-bundle" if plays else SOURCES.format(encoder=ENCODERS[codec], codec=codec)
        self.pipeline.add(Gst.parse_bin_from_description(content, False))
        self.web = self.pipeline.get_by_name("web")
        for caps in RECEIVED if plays else ():
            self.web.emit("add-transceiver", RECVONLY, Gst.Caps.from_string(caps.format(codec=codec)))
        self.web.connect("pad-added", lambda web, pad: self.receive(pad))
        self.web.connect("on-negotiation-needed", lambda web: self.offer())
        self.web.connect("on-ice-candidate", lambda web, line, text: self.found(text))
        self.web.connect("notify::connection-state", lambda web, _: say(web.get_property("connection-state").value_nick))
        self.pipeline.set_state(Gst.State.PLAYING)

    def offer(self) -> None:
        if self.session or self.web.get_property("signaling-state") != STABLE:
            return
        if not self.plays:
            for index in range(2):
                self.web.emit("get-transceiver", index).set_property("direction", SENDONLY)
        self.web.emit("create-offer", None, Gst.Promise.new_with_change_func(self.offered))

    def offered(self, promise: Gst.Promise) -> None:
        # What it holds goes with it.
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        self.web.emit("set-local-description", offer, Gst.Promise.new())
        text = offer.sdp.as_text()
        answer = self.ask("POST", self.url, text, "application/sdp")
        self.session, self.etag = urljoin(self.url, answer.headers["Location"]), answer.headers["ETag"]
        starts = ("a=ice-ufrag:", "a=ice-pwd:", "m=", "a=mid:")
        self.head = "".join(next(f"{line}\r\n" for line in text.splitlines() if line.startswith(start)) for start in starts)
        _, sdp = GstSdp.SDPMessage.new_from_text(answer.read().decode())
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.web.emit("set-remote-description", description, Gst.Promise.new())
        GLib.idle_add(self.tell)

    def found(self, candidate: str) -> None:
        self.candidates.append(candidate)
        GLib.idle_add(self.tell)

    def tell(self) -> bool:
        """Tells the candidates that were found meanwhile, once there is a session."""
        if self.session and self.candidates:
            found, self.candidates = self.candidates, []
            body = self.head + "".join(f"a={candidate}\r\n" for candidate in found)
            answer = self.ask("PATCH", self.session, body, "application/trickle-ice-sdpfrag", **{"If-Match": self.etag})
            say(f"candidates {answer.status}")
        # Once.
        return False

    def receive(self, pad: Gst.Pad) -> None:
        """Decodes what comes."""
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        caps = pad.get_current_caps().get_structure(0)
        media, codec = caps.get_string("media"), caps.get_string("encoding-name")
        sink = "fakesink name=sink sync=false signal-handoffs=true"
        decoder = Gst.parse_bin_from_description(f"{DECODERS[codec.upper()]} ! {sink}", True)
        left = iter(range(SECOND[media] - 1, -1, -1))
        decoder.get_by_name("sink").connect("handoff", lambda *_: next(left, None) == 0 and say(media))
        self.web.get_parent().add(decoder)
        decoder.sync_state_with_parent()
        pad.link(decoder.get_static_pad("sink"))

    def end(self) -> None:
        say(f"ended {self.ask('DELETE', self.session).status}")
        self.pipeline.set_state(Gst.State.NULL)

    def ask(self, method: str, url: str, body: str = "", content: str = "", **headers: str):
        headers["Authorization"] = f"Bearer {self.token}"
        if content:
            headers["Content-Type"] = content
        return urllib.request.urlopen(urllib.request.Request(url, body.encode() or None, headers, method=method), timeout=10)


def say(text: str) -> None:
    print(text, flush=True)


Gst.init(None)
session = Session(*sys.argv[1:])
loop = GLib.MainLoop()
GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGTERM, lambda: (session.end(), loop.quit())[0])
loop.run()
