"""The lifecycle node: converts messages, calls the pipeline, publishes what comes out.

configure builds the pipeline and the publishers, activate starts the thread and the subscriptions,
deactivate stops both, cleanup frees everything. Nothing is computed on the executor's thread, so
services and /clock always answer.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
from contextlib import suppress
from time import monotonic
from typing import Any

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import SetBool, Trigger

from endosfm3d_ros.errors import EndoError
from endosfm3d_ros.files.leftovers import sweep
from endosfm3d_ros.nodes.health.guard import Guard
from endosfm3d_ros.nodes.health.health import Health
from endosfm3d_ros.nodes.health.watchdog import Watchdog
from endosfm3d_ros.nodes.inputs.receiver import FrameReceiver
from endosfm3d_ros.nodes.messages.frames import FrameNames
from endosfm3d_ros.nodes.node import parameters
from endosfm3d_ros.nodes.node.beside import Beside
from endosfm3d_ros.nodes.node.configuring import build_unless
from endosfm3d_ros.nodes.node.readiness import (
    expectation,
    ready_pipeline,
    rehearse_messages,
)
from endosfm3d_ros.nodes.node.results import Results
from endosfm3d_ros.nodes.outputs.catalogue import scene_outputs
from endosfm3d_ros.nodes.outputs.publishers import ScenePublishers
from endosfm3d_ros.nodes.outputs.tf_mode import TfMode
from endosfm3d_ros.nodes.services.between_frames import Turns
from endosfm3d_ros.nodes.services.services import offer_services
from endosfm3d_ros.nodes.system.dds_profile import prepare_environment
from endosfm3d_ros.nodes.system.process_exit import leave, sentence_of
from endosfm3d_ros.nodes.system.shared_memory import sweep_shared_memory
from endosfm3d_ros.pipeline.live import LivePipeline
from endosfm3d_ros.runtime.memory import give_back, share_arenas

NOTICE = "research software: not a medical device, not for clinical use"
DISCOVERY_PERIOD = 0.1  # s between looks for publishers
WATCH_PERIOD = 0.1  # s
STATUS_PERIOD = 1.0  # s
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class PipelineNode(LifecycleNode):
    """`endosfm3d`: endoscope images in; depth, camera, poses and clouds out."""

    def __init__(self, **options: Any) -> None:
        super().__init__("endosfm3d", **options)
        self.interrupted = threading.Event()  # set: configure stops waiting for engines
        self._configured = self._active = False
        self._live: LivePipeline | None = None
        self._loops: list[Any] = []
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.add_on_set_parameters_callback(self._check_parameters)
        parameters.declare(self)
        offer_services(self, lambda: self._live if self._active else None, self._write_flight)
        self.get_logger().warning(NOTICE)

    # --- lifecycle ---------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Build the pipeline and the publishers; a wrong setting is a sentence and FAILURE."""
        self._values = parameters.values_of(self)
        try:
            config = parameters.pipeline_config(self._values)
            self._pipeline, rehearsed = build_unless(
                self.interrupted,
                lambda report: ready_pipeline(config, report),
                lambda text: self.get_logger().info(text),
            )
        except EndoError as error:
            self.get_logger().error(f"cannot configure: {error}")
            return FAILURE
        self._health = Health(parameters.health_config(self._values))
        self._guard = Guard(self, self._health)
        names = FrameNames(map=self._values["map_frame"], odom=self._values["odom_frame"])
        self._tf_mode = TfMode(self, self._values["publish_tf"], {names.map, names.odom})
        outputs = scene_outputs(self._pipeline, self._values["marker_meshes"])
        self._outputs = ScenePublishers(self, names, self._tf_mode, outputs)
        rehearse_messages(rehearsed.update, names, scene_outputs(self._pipeline))
        self._results = Results(self, self._outputs, self._health)
        self._apply_live(self._values)
        before = self._pipeline.report()
        self._watchdog = Watchdog(self, self._health, self._guard, before, rehearsed.rate)
        self._offered = [
            self.create_service(Trigger, "~/reset", self._on_reset),
            self.create_service(SetBool, "~/pause", self._on_pause),
        ]
        self._configured = True
        # No frame shall wait for a look through all that was imported and built, which takes 0.2 s.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self.get_logger().info(expectation(rehearsed, before.quality))
        settings = ", ".join(f"{name}={value!r}" for name, value in self._values.items())
        self.get_logger().info(f"configured: {settings}")
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the threads, then listen. Refused while threads of before are still computing."""
        if self._is_stuck("activate"):
            return FAILURE
        self._health.restart(monotonic())
        self._pipeline.reset()
        self._live = LivePipeline(self._pipeline, self._results.update, self._results.error)
        self._live.start()
        self._receiver = FrameReceiver(
            self,
            self._values,
            self._health,
            self._guard,
            on_frame=self._live.slot.put,
            on_jump=self._on_time_jump,
            on_better=self._on_better_source,
        )
        self._results.times = self._receiver.gate
        self._receiver.assembler.rejected = self._health.rejected
        live = self._live
        self._beside = Beside(
            self,
            self._values,
            Turns(live, lambda: self._active and self._live is live),
            live.between_frames,
            lambda: self._receiver.offers,
            self._on_stuck,
        )
        self._watchdog.begin(live, self._receiver, self._beside)
        self._active = True
        periods = {
            self._receiver.discover: DISCOVERY_PERIOD,
            self._watch: WATCH_PERIOD,
            self._watchdog.report: STATUS_PERIOD,
            **self._beside.loops,
        }
        self._loops = [
            self.create_timer(period, self._guard(callback), clock=self._steady)
            for callback, period in periods.items()
        ]
        self._beside.start()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening, then the thread."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the pipeline and take the topics down; not under threads that still use it."""
        if self._is_stuck("clean up"):
            return FAILURE
        self._tear_down()
        gc.unfreeze()  # what was frozen is never collected: this pipeline's cycles would stay
        give_back()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state."""
        self._stop()
        self._tear_down()
        return SUCCESS

    def _is_stuck(self, verb: str) -> bool:
        """Whether a thread of the last activation still uses the pipeline; said in the log."""
        stuck = self._live is not None and self._live.alive
        if stuck:
            since = self._live.state.working_for
            self.get_logger().error(
                f"cannot {verb}: a thread of the last activation is computing since {since:.0f} s"
            )
        return stuck

    def _stop(self) -> None:
        if not self._active:
            return
        self._active = False
        self._beside.close()
        for loop in self._loops:
            self.destroy_timer(loop)
        self._receiver.close()
        self._live.reset()  # nothing goes out after the withdrawal, whatever is still computed
        if self._live.stop():
            self._live = None
        else:
            self.get_logger().error("the pipeline's threads have not ended within 2 s")
        self._outputs.withdraw("the node is not active")
        self._watchdog.end("the node is not active")

    def _tear_down(self) -> None:
        if not self._configured:
            return
        self._configured = False
        self._outputs.destroy()
        self._tf_mode.close()
        self._watchdog.destroy()
        for service in self._offered:
            self.destroy_service(service)
        self._pipeline.close()
        del self._pipeline

    # --- parameters --------------------------------------------------------------------------

    def _check_parameters(self, changed: list[Parameter]) -> SetParametersResult:
        result = parameters.check(changed, self._configured)
        if result.successful and self._configured:
            self._apply_live({parameter.name: parameter.value for parameter in changed})
        return result

    def _apply_live(self, values: dict[str, Any]) -> None:
        self._outputs.max_points = values.get("max_points", self._outputs.max_points)
        self._outputs.cloud_rate = values.get("cloud_rate", self._outputs.cloud_rate)
        self._outputs.mark_inferred = values.get("mark_inferred", self._outputs.mark_inferred)

    # --- scenes ------------------------------------------------------------------------------

    def _on_time_jump(self, step: int) -> None:
        seconds = step * 1e-9
        self.get_logger().warning(f"image stamps jumped by {seconds:+.3f} s: a new scene starts")
        self._restart_scene()

    def _on_better_source(self, reason: str) -> None:
        self.get_logger().warning(f"{reason}: a new scene starts")
        self._restart_scene()

    def _restart_scene(self) -> None:
        """A barrier: nothing of the scene before comes after the withdrawal."""
        self._live.reset()
        self._results.new_scene()
        self._health.restart(monotonic())
        self._outputs.withdraw("a new scene starts")

    def _watch(self) -> None:
        """Withdraw what is old, say what is new, give up after too many crashes in a row."""
        self._beside.heart.beat()
        self._outputs.watch(monotonic())
        self._watchdog.look()
        if self._health.crashes >= self._values["max_failures"]:
            self.get_logger().error(
                f"{self._health.crashes} frames in a row crashed ({self._health.last_error}): "
                "deactivating; activate again once the cause is mended"
            )
            self._watchdog.report()
            self.trigger_deactivate()

    def _on_stuck(self, seconds: float) -> None:
        """On the thread of the heart: what was said last must not be believed for ever."""
        reason = f"the node has not come round for {seconds:.1f} s"
        self._outputs.withdraw(reason, seconds)
        self._watchdog.stuck(reason)

    def _write_flight(self) -> str:
        return self._beside.write_flight()

    # --- services ----------------------------------------------------------------------------

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if not self._active:
            response.success, response.message = False, "the node is not active"
            return response
        self._receiver.reset()
        self._restart_scene()
        response.success, response.message = True, "the next image starts a new scene"
        return response

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._health.paused = request.data
        response.success, response.message = True, "paused" if request.data else "running"
        return response


def main() -> None:
    """Run the node until it is interrupted; exit code 0 then, 1 when it cannot start."""
    share_arenas()
    prepare_environment()
    sweep()
    sweep_shared_memory()
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    try:
        # Not rclpy's own handlers: they take the context down before the node can say goodbye.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        node = PipelineNode()
    except (RuntimeError, ParameterException, EndoError) as error:  # RuntimeError: of rcl
        sys.exit(f"endosfm3d: {sentence_of(error)}")
    node.interrupted = interrupted
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    started = not node.get_parameter("autostart").value or (
        node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
    )
    while started and not interrupted.is_set():
        executor.spin_once(timeout_sec=0.2)
    with suppress(RuntimeError):  # somebody has shut it down already
        node.trigger_shutdown()
    node.destroy_node()
    rclpy.shutdown()
    leave(0 if started else 1)


if __name__ == "__main__":
    main()
