"""What a recording of shown frames says about a call."""

from dataclasses import dataclass

from rig.recorder import Shown, percentile, unwrap


@dataclass(frozen=True)
class Flow:
    """Frames of one direction of a call, over a window of time."""

    made: int
    """Frames that the camera made."""
    intact: int
    """Of these, how many were shown with an intact bar."""
    corrupt: int
    """Frames shown with a damaged bar, over the whole recording."""
    in_order: bool
    seconds: float
    p50: float
    """Milliseconds from the making of a frame to its showing."""
    p95: float
    longest_gap_ms: float

    @property
    def share(self) -> float:
        return self.intact / self.made if self.made else 0.0

    def __str__(self) -> str:
        return (
            f"{self.intact} of {self.made} frames intact ({self.share:.2%}), {self.corrupt} corrupt, "
            f"{self.made / self.seconds:.1f} fps, glass to glass p50 {self.p50:.0f} ms, p95 {self.p95:.0f} ms, "
            f"longest gap {self.longest_gap_ms:.0f} ms"
        )


def judge(frames: list[Shown], *, begin: float, end: float, made: list[int] | None = None) -> Flow:
    """Judges the frames that were made between `begin` and `end` (CLOCK_MONOTONIC, s).

    `made` are the numbers of the frames that the camera handed over in that time. Without it, the camera is one that
    numbers the frames it makes: every number between the first and the last was made.
    """
    good = [f for f in frames if f.counter is not None]
    numbers = unwrap([f.counter for f in good])
    in_order = all(a < b for a, b in zip(numbers, numbers[1:], strict=False))
    inside = [
        (number, frame)
        for number, frame in zip(numbers, good, strict=True)
        if begin <= frame.at - frame.latency_ms / 1000 <= end
    ]
    seen = {number for number, _ in inside}
    if made is None:
        made = list(range(min(seen), max(seen) + 1)) if seen else []
    shown_at = [frame.at for _, frame in inside]
    latencies = [float(frame.latency_ms) for _, frame in inside]
    gaps = [(b - a) * 1000 for a, b in zip(shown_at, shown_at[1:], strict=False)]
    return Flow(
        made=len(made),
        intact=len(seen & set(made)),
        corrupt=sum(f.counter is None for f in frames),
        in_order=in_order,
        seconds=end - begin,
        p50=percentile(latencies, 0.5),
        p95=percentile(latencies, 0.95),
        longest_gap_ms=max(gaps, default=0.0),
    )
