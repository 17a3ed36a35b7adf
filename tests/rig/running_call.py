"""A call that goes on beside what a test does: the judge of what that did to it."""

import time
from collections.abc import Callable

from rig.device import Device
from rig.flow import judge


class RunningCall:
    """Two devices in a call, of which one is recorded."""

    def __init__(self, device: Callable[[str], Device]):
        self.door, self.desk = device("door"), device("desk")
        for d in (self.door, self.desk):
            d.login("lobby")
            d.publish(d.name)
        view = self.desk.texture()
        self.recorder = self.desk.record(view)
        self.desk.play("door", view=view.view)
        self.recorder.wait_for_frames(30)
        self.mark, self.begin = self.desk.mark(), time.monotonic()

    def assert_undisturbed(self, measured: Callable[[str], None]) -> None:
        """Every frame of the time since the beginning was shown, and nothing was told."""
        # Long enough to be judged, also when the nonsense was over at once.
        time.sleep(max(0.0, self.begin + 4 - time.monotonic()))
        end = time.monotonic()
        time.sleep(0.5)
        flow = judge(self.recorder.stop(), begin=self.begin, end=end)
        measured(f"the call meanwhile: {flow}")
        assert flow.corrupt == 0 and flow.in_order and flow.share >= 0.99, flow
        assert flow.made >= 28 * flow.seconds, f"the picture stood still: {flow}"
        disturbed = [
            s.member
            for s in self.desk.bus.signals[self.mark :]
            if s.member in ("RoomStateUpdate", "PlayerStateUpdate", "PublisherStateUpdate")
            and s.args[0] in ("lobby", "door", "desk")
        ]
        assert not disturbed, disturbed
        assert self.desk.program.process.poll() is None
        assert "panicked" not in self.desk.program.output()
        assert self.desk.call("GetDiagnostics")
