"""A TensorRT that runs without one: strict about names and arguments, computes on the processor.

It is generated from a surface (`tensorrt_surface`): whatever is not in there raises
AttributeError or TypeError, also in classes that are derived from its own. A "plan" is an ONNX
file behind a marker; running it reads and writes the bound addresses.
"""

from __future__ import annotations

import inspect
import math
from types import SimpleNamespace

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from tensorrt_surface import CLASSES, ENUMS

from endosfm3d_ros.engines.engine import TensorSpec
from endosfm3d_ros.engines.memory import tensor_at

MARKER = b"plan of the stand-in "
NAMES = {1: "FLOAT", 10: "HALF", 6: "INT32", 7: "INT64", 16: "BF16"}  # onnx.TensorProto.DataType


class _Member:
    """A value of an enumeration."""

    def __init__(self, name: str, value: int) -> None:
        self.name, self._value = name, value

    def __int__(self) -> int:
        return self._value


class StandIn:
    """The module. `refuse` makes the builder fail with that line in its log."""

    def __init__(self, surface: dict, version: str = "0.0") -> None:
        self.__version__, self.refuse, self.free = version, "", None
        self.timing_caches: list[bytes] = []
        for name in ENUMS:
            members = {member: _Member(member, i) for i, member in enumerate(surface[name])}
            setattr(self, name, SimpleNamespace(**members))
        for name in CLASSES:
            setattr(self, name, _make(name, surface[name], self))


def _make(name: str, members: dict, module: StandIn) -> type:
    """A class with exactly these members; what they do is in `_DOES` and `_VALUES`."""

    def construct(self, *args, **kwargs):
        _check(name, "__init__", members["__init__"], args, kwargs)
        object.__setattr__(self, "_arguments", args)

    def look_up(self, attribute):
        if attribute.startswith("__") or attribute not in members:
            raise AttributeError(f"{name}.{attribute} does not exist")
        overloads = members[attribute]
        if overloads is None:
            return _VALUES[name, attribute](self)

        def call(*args, **kwargs):
            _check(name, attribute, overloads, args, kwargs)
            return _DOES[name, attribute](self, *args, **kwargs)

        return call

    def assign(self, attribute, value):
        derived = type(self).__name__ != name
        if not derived and members.get(attribute, []) is not None:
            raise AttributeError(f"{name}.{attribute} is no property")
        object.__setattr__(self, attribute, value)

    def derive(cls, **_kwargs):
        for method, function in vars(cls).items():
            if inspect.isfunction(function) and not method.startswith("_"):
                given = list(inspect.signature(function).parameters)[1:]
                if [given] != members.get(method):
                    raise TypeError(f"{name}.{method}{members.get(method)} overridden by {given}")

    body = {"__init__": construct, "__getattr__": look_up, "__setattr__": assign, "_trt": module}
    return type(name, (), body | {"__init_subclass__": classmethod(derive)})


def _check(owner: str, name: str, overloads: list[list[str]], args: tuple, kwargs: dict) -> None:
    for names in overloads:
        plain = [argument.rstrip("?") for argument in names]
        given = [*plain[: len(args)], *kwargs]
        required = {argument for argument in names if not argument.endswith("?")}
        if len(args) <= len(plain) and set(kwargs) <= set(plain) and required <= set(given):
            return
    raise TypeError(
        f"{owner}.{name}: {len(args)} arguments and {sorted(kwargs)} fit no {overloads}"
    )


def _new(trt: StandIn, name: str, **state):
    """An instance that the module makes itself."""
    made = object.__new__(getattr(trt, name))
    for key, value in state.items():
        object.__setattr__(made, "_" + key, value)
    return made


def _log(logger, trt: StandIn, severity: str, text: str) -> None:
    logger.log(SimpleNamespace(name=severity), text)


def _specs(values) -> list[TensorSpec]:
    return [
        TensorSpec(
            value.name,
            tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim),
            NAMES[value.type.tensor_type.elem_type],
        )
        for value in values
    ]


def _tensor(trt: StandIn, spec: TensorSpec):
    return SimpleNamespace(
        name=spec.name, shape=spec.shape, dtype=getattr(trt.DataType, spec.dtype)
    )


def _parse(parser, model, path=None):
    network, _ = parser._arguments
    try:
        loaded = onnx.load_from_string(bytes(model))
    except Exception as error:
        object.__setattr__(parser, "_errors", [str(error)])
        return False
    object.__setattr__(network, "_model", loaded)
    return True


def _build(builder, network, config):
    trt, logger = builder._trt, builder._arguments[0]
    monitor = config.__dict__.get("progress_monitor")
    if monitor is not None:
        monitor.phase_start("Building engine", None, 2)
        for step in range(2):
            if not monitor.step_complete("Building engine", step):
                return None
        monitor.phase_finish("Building engine")
    if trt.refuse:
        _log(logger, trt, "ERROR", trt.refuse)
        return None
    _log(logger, trt, "INFO", "Engine generation completed in 0.1 seconds.")
    return MARKER + trt.__version__.encode() + b"\n" + network._model.SerializeToString()


def _deserialise(runtime, plan):
    trt, logger = runtime._trt, runtime._arguments[0]
    head, _, model = bytes(plan).partition(b"\n")
    if head != MARKER + trt.__version__.encode():
        _log(
            logger,
            trt,
            "ERROR",
            "[stdArchiveReader.cpp::a::46] Error Code 1: Version tag does not match",
        )
        return None
    loaded = onnx.load_from_string(model)
    return _new(
        trt, "ICudaEngine", model=loaded, ins=_specs(loaded.graph.input),
        outs=_specs(loaded.graph.output),
    )  # fmt: skip


def _all(engine) -> list[TensorSpec]:
    return [*engine._ins, *engine._outs]


def _find(engine, name: str) -> TensorSpec:
    return next(spec for spec in _all(engine) if spec.name == name)


def _execute(context, stream_handle):
    """Read the inputs where they were bound, compute, write the outputs where they were bound."""
    assert stream_handle == 0, "there are no streams on the processor"
    engine = context._engine_of
    views = {
        spec.name: tensor_at(
            context._addresses[spec.name], TensorSpec(spec.name, spec.shape), "cpu"
        ).numpy()
        for spec in _all(engine)
    }
    answers = ReferenceEvaluator(engine._model).run(
        None, {spec.name: views[spec.name] for spec in engine._ins}
    )
    for spec, answer in zip(engine._outs, answers):
        np.copyto(views[spec.name], np.asarray(answer, np.float32))
    return True


def _bind(context, name, memory):
    context._addresses[name] = memory
    return any(spec.name == name for spec in _all(context._engine_of))


def _keep_timings(config, cache, ignore_mismatch):
    config._trt.timing_caches.append(cache._content)
    return True


_DOES = {
    ("Builder", "create_network"): lambda self, flags=0: _new(self._trt, "INetworkDefinition"),
    ("Builder", "create_builder_config"): lambda self: _new(self._trt, "IBuilderConfig"),
    ("Builder", "build_serialized_network"): _build,
    ("IBuilderConfig", "clear_flag"): lambda self, flag: None,
    ("IBuilderConfig", "create_timing_cache"): lambda self, serialized_timing_cache: _new(
        self._trt, "ITimingCache", content=serialized_timing_cache
    ),
    ("IBuilderConfig", "set_timing_cache"): _keep_timings,
    ("IBuilderConfig", "get_timing_cache"): lambda self: _new(
        self._trt, "ITimingCache", content=b"timings"
    ),
    ("ITimingCache", "serialize"): lambda self: self._content,
    ("OnnxParser", "parse"): _parse,
    ("OnnxParser", "get_error"): lambda self, index: _new(
        self._trt, "ParserError", text=self._errors[index]
    ),
    ("ParserError", "desc"): lambda self: self._text,
    ("INetworkDefinition", "get_input"): lambda self, index: _tensor(
        self._trt, _specs(self._model.graph.input)[index]
    ),
    ("INetworkDefinition", "get_output"): lambda self, index: _tensor(
        self._trt, _specs(self._model.graph.output)[index]
    ),
    ("Runtime", "deserialize_cuda_engine"): _deserialise,
    ("ICudaEngine", "create_execution_context"): lambda self: _new(
        self._trt, "IExecutionContext", engine_of=self, addresses={}
    ),
    ("ICudaEngine", "get_tensor_name"): lambda self, index: _all(self)[index].name,
    ("ICudaEngine", "get_tensor_shape"): lambda self, name: _find(self, name).shape,
    ("ICudaEngine", "get_tensor_dtype"): lambda self, name: getattr(
        self._trt.DataType, _find(self, name).dtype
    ),
    ("ICudaEngine", "get_tensor_mode"): lambda self, name: (
        self._trt.TensorIOMode.INPUT
        if name in [spec.name for spec in self._ins]
        else self._trt.TensorIOMode.OUTPUT
    ),
    ("IExecutionContext", "set_tensor_address"): _bind,
    ("IExecutionContext", "execute_async_v3"): _execute,
}
_VALUES = {
    ("INetworkDefinition", "num_inputs"): lambda self: len(self._model.graph.input),
    ("INetworkDefinition", "num_outputs"): lambda self: len(self._model.graph.output),
    ("OnnxParser", "num_errors"): lambda self: len(self._errors),
    ("ICudaEngine", "num_io_tensors"): lambda self: len(_all(self)),
    ("ICudaEngine", "device_memory_size_v2"): lambda self: sum(
        4 * math.prod(spec.shape) for spec in _all(self)
    ),
}
