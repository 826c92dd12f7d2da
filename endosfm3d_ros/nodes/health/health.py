"""Whether input and output can be trusted right now; pure logic on the steady clock."""

from __future__ import annotations

import statistics
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from queue import SimpleQueue

from endosfm3d_ros.gates.grades import Grade, all_invalid
from endosfm3d_ros.gates.limits import MAX_AGE
from endosfm3d_ros.gates.scenes import Judgement
from endosfm3d_ros.runtime.timing import LatencyWindow
from endosfm3d_ros.types import ScaleSource, SceneUpdate, TrackingState


class Level(IntEnum):
    """As in diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class HealthConfig:
    """When to warn; seconds and shares."""

    never: float = 5.0  # s without any image after activation
    stale_warn: float = 0.5  # s since the last image
    stale_error: float = 2.0
    slow_warn: float = 0.5  # share of the usual image rate
    slow_error: float = 0.2
    usual_after: int = 30  # intervals from which the usual rate is known
    rate_window: float = 2.0  # s
    min_coverage: float = 0.2  # share of valid depth
    silent: float = 1.5  # s that images come in and nothing goes out


@dataclass(frozen=True)
class Finding:
    """One thing worth saying: which part, how bad, in one sentence."""

    part: str
    level: Level
    sentence: str


class Health:
    """Fed by the node with times of the steady clock in seconds; asked by its watchdog.

    Results come from another thread: what they say waits in a queue until the executor's thread,
    which owns everything else here, asks.
    """

    def __init__(self, config: HealthConfig | None = None) -> None:
        self.config = config or HealthConfig()
        self.latency = LatencyWindow()
        self.received = 0
        self.processed = 0
        self.rejected: Counter[str] = Counter()  # images, by reason
        self.refused: Counter[str] = Counter()  # messages of other inputs, by reason
        self.paused = False
        self.failure = ""  # why nothing will be processed any more
        self.update: SceneUpdate | None = None
        self._newest: tuple[SceneUpdate, Judgement | None, float] | None = None
        self._news: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.restart(0.0)

    def restart(self, now: float) -> None:
        """The node became active, or the stream starts anew."""
        self.catch_up()
        self._since = now
        self._unanswered: float | None = None  # when the first image after the last output came
        self._rejected_before = self.rejected.copy()  # when the last output came
        self._inputs: deque[float] = deque(maxlen=600)
        self._outputs: deque[float] = deque(maxlen=600)
        self._intervals: deque[float] = deque(maxlen=300)
        self.failures = 0  # frames in a row that gave nothing
        self.crashes = 0  # of these, in a row, by an error that nobody expected
        self.last_error = ""
        self.update = None
        self.judgement: Judgement | None = None  # of the update
        self._taken = now  # when what the update shows was taken

    def image_received(self, now: float) -> None:
        """An image arrived, usable or not."""
        self.received += 1
        if self._unanswered is None:
            self._unanswered = now
        if self._inputs:
            self._intervals.append(now - self._inputs[-1])
        self._inputs.append(now)

    def scene_updated(
        self,
        update: SceneUpdate,
        milliseconds: dict[str, float],
        now: float,
        judgement: Judgement | None = None,
        taken: float | None = None,
    ) -> None:
        """An image was processed and published. May be called from any thread.

        Args:
            update: of it.
            milliseconds: what to add to the durations of the stages.
            now: time.
            judgement: of the update.
            taken: when what it shows was taken; `now` if not given.
        """
        # not in the queue: pictures must not pile up there
        self._newest = update, judgement, now if taken is None else taken
        self._news.put(partial(self._note_update, {**update.timings, **milliseconds}, now))

    def scene_failed(self, sentence: str, crashed: bool, count: str = "failed") -> None:
        """An image was taken from the slot and gave nothing. From any thread.

        Args:
            sentence: why.
            crashed: whether nobody expected that.
            count: what it is counted as; empty where it was no image that failed.
        """
        self._news.put(partial(self._note_failure, sentence, crashed, count))

    def catch_up(self) -> None:
        """Take in what other threads have said."""
        for _ in range(self._news.qsize()):
            self._news.get_nowait()()

    def _note_update(self, milliseconds: dict[str, float], now: float) -> None:
        self.processed += 1
        self._unanswered = None
        self._rejected_before = self.rejected.copy()
        self.failures = self.crashes = 0
        self.last_error = ""
        self.update, self.judgement, self._taken = self._newest
        self._outputs.append(now)
        self.latency.add(milliseconds)

    def _note_failure(self, sentence: str, crashed: bool, count: str) -> None:
        self.failures += 1
        if count:
            self.rejected[count] += 1
        self.crashes = self.crashes + 1 if crashed else 0
        self.last_error = sentence

    def grades(self, now: float) -> tuple[Grade, ...]:
        """What each part of the scene is worth at time `now`."""
        if self.failure:
            return all_invalid(self.failure)
        if self.update is None:
            return all_invalid("no image has been processed yet")
        age = now - self._taken
        if age > MAX_AGE.value:
            return all_invalid(f"what is known is of an image {age:.1f} s old")
        return self.judgement.grades if self.judgement else ()

    def input_age(self, now: float) -> float | None:
        """Seconds since the last image; None before the first."""
        return now - self._inputs[-1] if self._inputs else None

    def input_rate(self, now: float) -> float:
        """Images a second over the last window."""
        return self._rate(self._inputs, now)

    def output_rate(self, now: float) -> float:
        """Scene updates a second over the last window."""
        return self._rate(self._outputs, now)

    def _rate(self, times: deque[float], now: float) -> float:
        window = self.config.rate_window
        return sum(time > now - window for time in times) / window

    def findings(self, now: float, reason: Callable[[], str] = str) -> list[Finding]:
        """Everything worth saying, worst first; empty when all is well.

        Args:
            now: time.
            reason: asked why nothing goes out, where that is so; an empty answer means that
                nobody knows.
        """
        self.catch_up()
        found = [*self._about_input(now), *self._about_processing(now, reason)]
        found += self._about_scene()
        if self.paused:
            found.append(Finding("output", Level.WARN, "paused by service"))
        return sorted(found, key=lambda finding: -finding.level)

    def _about_input(self, now: float) -> list[Finding]:
        c, age = self.config, self.input_age(now)
        if age is None:
            waited = now - self._since
            if waited < c.never:
                return []
            return [Finding("input", Level.WARN, f"no image for {waited:.0f} s since the start")]
        if age > c.stale_warn:
            level = Level.ERROR if age > c.stale_error else Level.WARN
            return [Finding("input", level, f"stale: the last image came {age:.1f} s ago")]
        return self._about_rate(now)

    def _about_rate(self, now: float) -> list[Finding]:
        """A camera that slows down; its usual rate is the median over the last intervals."""
        c = self.config
        if len(self._intervals) < c.usual_after or now - self._since < 2 * c.rate_window:
            return []
        usual = 1 / max(statistics.median(self._intervals), 1e-6)
        share = self.input_rate(now) / usual
        if share >= c.slow_warn:
            return []
        level = Level.ERROR if share < c.slow_error else Level.WARN
        return [Finding("input", level, f"image rate fell to {share:.0%} of {usual:.1f} Hz")]

    def _about_processing(self, now: float, reason: Callable[[], str]) -> list[Finding]:
        if self.failure:
            return [Finding("processing", Level.ERROR, self.failure)]
        if self.failures:
            sentence = f"{self.failures} in a row: {self.last_error}"
            return [Finding("processing", Level.ERROR, sentence)]
        silent = 0.0 if self._unanswered is None else now - self._unanswered
        if self.paused or silent < self.config.silent:
            return []
        why = reason() or self.rejected_since_the_last_output() or "nobody knows why"
        sentence = f"images come in and nothing goes out for {silent:.1f} s: {why}"
        return [Finding("processing", Level.ERROR, sentence)]

    def rejected_since_the_last_output(self) -> str:
        """What was rejected most often since then, with how often; empty if nothing was."""
        grown = self.rejected - self._rejected_before
        return ", ".join(f"{count} rejected: {why}" for why, count in grown.most_common(2))

    def _about_scene(self) -> list[Finding]:
        if self.update is None:
            return []
        found = self._about_truth()
        if self.update.pose.state == TrackingState.LOST:
            found.append(Finding("tracking", Level.WARN, "lost: the last believed pose is held"))
        coverage = self.update.depth.coverage
        if coverage < self.config.min_coverage:
            sentence = f"only {coverage:.0%} of the depth image is valid"
            found.append(Finding("depth", Level.WARN, sentence))
        if self.update.tissue is not None and self.update.tissue.state == TrackingState.LOST:
            found.append(Finding("tissue", Level.WARN, "lost: the map is held as it was"))
        return found + self._about_tools()

    def _about_truth(self) -> list[Finding]:
        """What the gates say of the newest output."""
        if self.judgement is None:
            return []
        said = {"depth": self.judgement.collapsed, "tools": self.judgement.stale_mask}
        return [Finding(part, Level.ERROR, words) for part, words in said.items() if words]

    def _about_tools(self) -> list[Finding]:
        """Masks, models and poses that could not be had, each with its reason."""
        view = self.update.tools
        if view is None:
            return []
        said = [] if view.tracks.usable else [f"masks cannot be used: {view.tracks.reason}"]
        said += [f"no model: {note}" for note in view.notes]
        said += [
            f"instrument {tool.track.id} has no pose: {tool.placement.reason}"
            for tool in view.tools
            if tool.placement is not None and not tool.placement.valid
        ]
        return [Finding("tools", Level.WARN, sentence) for sentence in said]

    def scale_source(self) -> str:
        """Where metres come from in the newest output."""
        return (self.update.depth.scale if self.update else ScaleSource.RELATIVE).value

    def scale(self) -> tuple[float, float]:
        """Metres per unit, relative sigma; NaN where it is relative, or where nobody measured."""
        estimate = self.update.scale if self.update else None
        if estimate is None:
            return float("nan"), float("nan")
        measured = estimate.count and estimate.source != ScaleSource.CONSTANT
        return estimate.factor, estimate.sigma if measured else float("nan")
