"""Pointwise kernels, compiled by LLVM when they are first called: no compiler on the user's machine.

A kernel is a Python function over `Lanes`, vectors of 32-bit floats with the usual operators. `compile_kernel` turns it
into machine code of this processor that walks over rows (pixels) of channels, on PyTorch's own threads.

    >>> import torch
    >>> double = compile_kernel("double", {"x": Rows()}, lambda load, store: store("x", load("x") * 2))
    >>> x = torch.ones(3, 5)
    >>> double({"x": x}, rows=3, width=5)
    >>> float(x.sum())
    30.0
"""

import ctypes
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import llvmlite.ir as ir
import torch
from torch import Tensor

from echocast.nn.fused import kept
from echocast.nn.fused.lanes import Lanes, vector

_F32, _I16, _I32, _I64 = ir.FloatType(), ir.IntType(16), ir.IntType(32), ir.IntType(64)
_LANES = (16, 8, 4, 1)
"""Channels at a time: vectors of 16 as far as they go (LLVM splits them if registers are shorter), then less."""

_SERIAL = 1 << 14
"""Values under which a second thread costs more than it saves."""

_BLOCKS = 64
"""Parts that the rows are cut into, for the threads to share and for sums to be added up in a fixed order."""


@dataclass(frozen=True)
class Rows:
    """How a kernel sees one tensor: as rows of channels.

    Args:
        bf16: the values are stored as bfloat16; the kernel sees 32-bit floats.
        at: which row belongs to row p of the kernel: ``row`` p itself, ``same`` always the first, ``pixel`` p modulo
            the pixels of an image (a batch shares it), ``block`` one row per block of rows, for sums; ``grid`` a pixel
            of an image that may lie within a larger one.
        every: pixels from one row to the next along both axes of a ``grid``, for tiles.
    """

    bf16: bool = False
    at: str = "row"
    every: int = 1


Load = Callable[..., Lanes]
"""``load(name, part=0, line=0, column=0)``: part k of a row begins k widths after its start (for a tensor of planes, in
plane k); of a ``grid``, line and column count from the row's pixel."""

Store = Callable[..., None]
"""``store(name, value, part=0, line=0, column=0)``."""


class Kernel:
    """Machine code for one pointwise pass; see `compile_kernel`."""

    def __init__(self, name: str, tensors: Mapping[str, Rows], body: Callable[[Load, Store], None]) -> None:
        self.tensors = tensors
        self._name, self._body = name, body
        self._compiled: dict[tuple[int, ...], tuple[Any, int]] = {}

    def address(self, width: int) -> int:
        """Where the code for rows of `width` channels lies; compiled when it is first asked for."""
        lanes = lanes_of(width)
        if lanes not in self._compiled:
            engine = machine_code(_source(self._name, self.tensors, self._body, lanes))
            self._compiled[lanes] = engine, engine.get_function_address(self._name)
        return self._compiled[lanes][1]

    def __call__(
        self, tensors: Mapping[str, Tensor], *, rows: int, width: int, image: tuple[int, int] = (1, 1)
    ) -> None:
        """Run over `rows` rows of `width` channels; see `bind`."""
        self.bind(tensors, rows=rows, width=width, image=image)()

    def bind(self, tensors: Mapping[str, Tensor], *, rows: int, width: int, image: tuple[int, int] = (1, 1)) -> "Call":
        """A call over `rows` rows of `width` channels, packed once and to be run as often as is wanted.

        Args:
            tensors: by name, channels adjacent: (row, channel), (plane, row, channel), or for a ``grid`` (image, line,
                column, channel).
            rows: pixels of all images together.
            width: channels of one part of a row.
            image: lines and columns of one image, for tensors seen as ``pixel`` or ``grid``.
        """
        per_block = block_rows(rows, width)
        context, places = [width, image[1], image[0] * image[1], rows, per_block], {}
        for name, seen in self.tensors.items():
            tensor, places[name] = tensors[name], len(context)
            if seen.at == "grid":
                context += [tensor.data_ptr(), *tensor.stride()[:3]]
            else:
                plane = tensor.stride(0) if tensor.dim() == 3 else width
                context += [tensor.data_ptr(), tensor.stride(-2), plane, 0]
        return Call(self.address(width), -(-rows // per_block), context, places, kept=(self, dict(tensors)))


class Call:
    """A kernel with its tensors; see `Kernel.bind`.

    Args:
        address: of the machine code.
        parts: that the rows are cut into.
        context: what the machine code is given.
        places: where the address of each tensor stands in it.
        kept: what must live as long as this.
    """

    def __init__(self, address: int, parts: int, context: list[int], places: dict[str, int], *, kept: object) -> None:
        self._address, self._parts, self._places, self._kept = address, parts, places, kept
        self._packed = (ctypes.c_int64 * len(context))(*context)

    def __call__(self, **moved: Tensor) -> None:
        """Run; `moved` are tensors in the place of those that were bound, which lie in memory as those do."""
        for name, tensor in moved.items():
            self._packed[self._places[name]] = tensor.data_ptr()
        call(self._address, self._parts, self._packed)


def check_processor() -> None:
    """
    Raises:
        OSError: this processor multiplies and adds only one after the other, which the kernels would have to imitate.
    """
    llvm.initialize_native_target()
    x86 = llvm.get_default_triple().startswith(("x86", "amd64", "i686"))
    if x86 and not llvm.get_host_cpu_features().get("fma"):
        raise OSError("this processor has no fused multiply-add")


def check_threads() -> None:
    """
    Raises:
        OSError: this PyTorch lends no threads, and more than one is wanted.
    """
    if parallel_for() is None and torch.get_num_threads() > 1:
        raise OSError(f"PyTorch {torch.__version__} has no torch_parallel_for, so that they would use one thread alone")


def call(address: int, parts: int, context: Any) -> None:
    """Run a compiled ``function(begin, end, context)`` over `parts` parts, on PyTorch's threads."""
    if parts == 1 or (parallel := parallel_for()) is None:
        _function(address)(0, parts, ctypes.addressof(context))
    else:
        parallel(0, parts, 1, address, ctypes.addressof(context))


@cache
def _function(address: int) -> Any:
    return ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)(address)


def block_rows(rows: int, width: int) -> int:
    """Rows per block; there are ``ceil(rows / block_rows)`` blocks."""
    return max(rows, 1) if rows * width <= _SERIAL else -(-rows // _BLOCKS)


def lanes_of(width: int) -> tuple[int, ...]:
    """The vectors that `width` channels are cut into, each size once.

    >>> lanes_of(64), lanes_of(24), lanes_of(15)
    ((16,), (16, 8), (8, 4, 1))
    """
    found = []
    for lanes in _LANES:
        if width >= lanes:
            found.append(lanes)
            width %= lanes
    return tuple(found)


def compile_kernel(name: str, tensors: Mapping[str, Rows], body: Callable[[Load, Store], None]) -> Kernel:
    """A kernel that `body` is compiled for on this processor, for each new way to cut channels into vectors.

    Args:
        name: of the function, for debuggers.
        tensors: what it reads and writes, by name.
        body: called with ``load`` and ``store``; builds what happens to one vector of channels of one row.
    """
    return Kernel(name, tensors, body)


def _source(
    name: str, tensors: Mapping[str, Rows], body: Callable[[Load, Store], None], widths: tuple[int, ...]
) -> str:
    module = ir.Module(name)
    module.triple = llvm.get_process_triple()
    byte = ir.IntType(8).as_pointer()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_I64, _I64, byte]), name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    slots = builder.bitcast(function.args[2], _I64.as_pointer())
    width, columns, pixels, rows, per_block, *bound = (
        builder.load(builder.gep(slots, [whole(k)])) for k in range(5 + 4 * len(tensors))
    )
    with loop(builder, function.args[0], function.args[1], 1) as block:
        first = builder.mul(block, per_block)
        last = builder.add(first, per_block)
        last = builder.select(builder.icmp_signed("<", last, rows), last, rows)
        with loop(builder, first, last, 1) as row:
            pixel = builder.srem(row, pixels)
            images, line, column = builder.sdiv(row, pixels), builder.sdiv(pixel, columns), builder.srem(pixel, columns)
            starts = {}
            for k, (tensor, seen) in enumerate(tensors.items()):
                base, outer, inner, innermost = bound[4 * k : 4 * k + 4]
                start = builder.inttoptr(base, (_I16 if seen.bf16 else _F32).as_pointer())
                index = {"row": row, "same": whole(0), "block": block, "pixel": pixel, "grid": images}[seen.at]
                offset = builder.mul(index, outer)
                if seen.at == "grid":
                    for count, stride in ((line, inner), (column, innermost)):
                        offset = builder.add(offset, builder.mul(builder.mul(count, stride), whole(seen.every)))
                starts[tensor] = builder.gep(start, [offset]), inner, innermost
            begin = whole(0)
            for lanes in widths:
                end = builder.sub(width, builder.srem(width, whole(lanes)))
                with loop(builder, begin, end, lanes) as channel:
                    body(*_access(builder, module, starts, tensors, width, channel, lanes))
                begin = end
    builder.ret_void()
    return str(module)


def _access(
    builder: Any, module: Any, starts: dict[str, Any], tensors: Mapping[str, Rows], width: Any, channel: Any, lanes: int
) -> tuple[Load, Store]:
    floats, words = ir.VectorType(_F32, lanes), ir.VectorType(_I32, lanes)

    def place(name: str, part: int, line: int, column: int) -> Any:
        start, inner, innermost = starts[name]
        grid = tensors[name].at == "grid"
        offset = builder.add(channel, builder.mul(width if grid else inner, whole(part)))
        if line or column:
            if not grid:
                raise ValueError(f"only a tensor seen as a grid has lines and columns; {name} is {tensors[name]}")
            across = builder.add(builder.mul(inner, whole(line)), builder.mul(innermost, whole(column)))
            offset = builder.add(offset, across)
        kind = ir.VectorType(_I16 if tensors[name].bf16 else _F32, lanes)
        return builder.bitcast(builder.gep(start, [offset]), kind.as_pointer())

    def load(name: str, part: int = 0, line: int = 0, column: int = 0) -> Lanes:
        value = builder.load(place(name, part, line, column), align=2 if tensors[name].bf16 else 4)
        if tensors[name].bf16:
            value = builder.bitcast(builder.shl(builder.zext(value, words), vector(_I32, 16, lanes)), floats)
        return Lanes(value, builder, module)

    def store(name: str, lane: Lanes, part: int = 0, line: int = 0, column: int = 0) -> None:
        value = lane.value
        if tensors[name].bf16:  # to the nearest, ties to even
            bits = builder.bitcast(value, words)
            odd = builder.and_(builder.lshr(bits, vector(_I32, 16, lanes)), vector(_I32, 1, lanes))
            bits = builder.add(bits, builder.add(odd, vector(_I32, 0x7FFF, lanes)))
            rounded = builder.trunc(builder.lshr(bits, vector(_I32, 16, lanes)), ir.VectorType(_I16, lanes))
            nan = builder.fcmp_unordered("uno", value, value)
            value = builder.select(nan, vector(_I16, 0x7FC0, lanes), rounded)
        builder.store(value, place(name, part, line, column), align=2 if tensors[name].bf16 else 4)

    return load, store


@contextmanager
def loop(builder: Any, begin: Any, end: Any, step: int) -> Iterator[Any]:
    """Build ``for index in range(begin, end, step)`` around what is built inside."""
    before, function = builder.block, builder.function
    head, body, after = (function.append_basic_block() for _ in range(3))
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(_I64)
    index.add_incoming(begin, before)
    builder.cbranch(builder.icmp_signed("<", index, end), body, after)
    builder.position_at_end(body)
    yield index
    index.add_incoming(builder.add(index, whole(step)), builder.block)
    builder.branch(head)
    builder.position_at_end(after)


def whole(value: int) -> Any:
    """A constant whole number of 64 bits."""
    return ir.Constant(_I64, value)


def machine_code(source: str) -> Any:
    """Compile a module for this processor, or take what an earlier process has compiled; the engine must live as long
    as its functions are called."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    processor, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=processor, features=features, opt=3)
    versions = [llvmlite.__version__, ".".join(map(str, llvm.llvm_version_info))]
    name = kept.name(*versions, llvm.get_process_triple(), processor, features, source)
    code = kept.read(name)
    module = llvm.parse_assembly(source)
    if code is None:
        module.verify()
        passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
        passes.getModulePassManager().run(module, passes)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.set_object_cache(notify_func=lambda _, made: kept.write(name, bytes(made)), getbuffer_func=lambda _: code)
    engine.finalize_object()
    return engine


@cache
def parallel_for() -> Any:
    """PyTorch's own ``parallel_for``, so that no second pool of threads fights for the cores; None before 2.10."""
    for library in ("libtorch_cpu.so", "libtorch_cpu.dylib", "torch_cpu.dll"):
        path = Path(torch.__file__).parent / "lib" / library
        if path.exists():
            function = getattr(ctypes.CDLL(str(path)), "torch_parallel_for", None)
            if function is not None:
                function.argtypes = [ctypes.c_int64] * 3 + [ctypes.c_void_p] * 2
                function.restype = ctypes.c_int32
            return function
    return None
