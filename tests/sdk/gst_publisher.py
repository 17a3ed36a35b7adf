#!/usr/bin/python3
"""A WHIP publisher whose WebRTC is GStreamer's (webrtcbin, as in its WHIP elements); for Debian's python3 with its gi.

    gst_publisher.py URL TOKEN VP8      # or H264: a test picture, and a tone of 800 Hz

Candidates are told by PATCH as they are found. SIGTERM ends the session by DELETE.
"""

import re
import signal
import subprocess
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
PIPELINE = (
    "webrtcbin name=web bundle-policy=max-bundle"
    " audiotestsrc is-live=true freq=800 ! audioconvert ! audioresample ! queue ! opusenc ! rtpopuspay pt=96"
    " ! application/x-rtp,media=audio,encoding-name=OPUS,payload=96 ! web."
    " videotestsrc is-live=true ! video/x-raw,width=640,height=480,framerate=15/1 ! videoconvert ! queue ! {encoder} pt=97"
    " ! application/x-rtp,media=video,encoding-name={codec},payload=97 ! web."
)
STABLE = GstWebRTC.WebRTCSignalingState.STABLE
SENDONLY = GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY


def run(*command: str, given: str = "") -> str:
    """A program's output."""
    return subprocess.run(command, input=given, check=True, capture_output=True, text=True).stdout


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
PEM = run("openssl", "req", "-x509", *EC, "-subj", "/CN=gst", "-days", "2", "-keyout", "-")
"""A certificate of the kind that every WebRTC implementation knows (RFC 8827, section 6.5): GStreamer's own has an RSA key."""
FINGERPRINT = run("openssl", "x509", "-noout", "-fingerprint", "-sha256", given=PEM).partition("=")[2].strip()


class Publisher:
    """One session at an endpoint."""

    def __init__(self, url: str, token: str, codec: str):
        self.url, self.token = url, token
        self.session = self.etag = self.head = ""
        self.candidates: list[str] = []
        self.pipeline = Gst.Pipeline.new()
        self.pipeline.connect("deep-element-added", lambda pipeline, inner, element: identify(element))
        self.pipeline.add(Gst.parse_bin_from_description(PIPELINE.format(encoder=ENCODERS[codec], codec=codec), False))
        self.web = self.pipeline.get_by_name("web")
        self.web.connect("on-negotiation-needed", lambda web: self.offer())
        self.web.connect("on-ice-candidate", lambda web, line, text: self.found(text))
        self.web.connect("notify::connection-state", lambda web, _: say(web.get_property("connection-state").value_nick))
        self.pipeline.set_state(Gst.State.PLAYING)

    def offer(self) -> None:
        if self.session or self.web.get_property("signaling-state") != STABLE:
            return
        for index in range(2):
            self.web.emit("get-transceiver", index).set_property("direction", SENDONLY)
        self.web.emit("create-offer", None, Gst.Promise.new_with_change_func(self.offered))

    def offered(self, promise: Gst.Promise) -> None:
        # What it holds goes with it.
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        self.web.emit("set-local-description", offer, Gst.Promise.new())
        # It makes a wrong one of a text that has a key in it as well.
        text = re.sub("a=fingerprint:.*", f"a=fingerprint:sha-256 {FINGERPRINT}\r", offer.sdp.as_text())
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

    def end(self) -> None:
        say(f"ended {self.ask('DELETE', self.session).status}")
        self.pipeline.set_state(Gst.State.NULL)

    def ask(self, method: str, url: str, body: str = "", content: str = "", **headers: str):
        headers["Authorization"] = f"Bearer {self.token}"
        if content:
            headers["Content-Type"] = content
        return urllib.request.urlopen(urllib.request.Request(url, body.encode() or None, headers, method=method), timeout=10)


def identify(element: Gst.Element) -> None:
    """Gives DTLS our certificate."""
    if element.get_factory() and element.get_factory().get_name() == "dtlsdec":
        element.set_property("pem", PEM)


def say(text: str) -> None:
    print(text, flush=True)


Gst.init(None)
publisher = Publisher(*sys.argv[1:])
loop = GLib.MainLoop()
GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGTERM, lambda: (publisher.end(), loop.quit())[0])
loop.run()
