"""Images copied from (batch, channel, *space) to channels-last and back, faster than PyTorch does it: in squares of 8
pixels and 8 channels that are turned round in registers.

>>> import torch
>>> x = torch.arange(2 * 9 * 3 * 10.0).view(2, 9, 3, 10)
>>> made = torch.empty(2, 3, 10, 9)
>>> to_last(made, x)
>>> bool((made == x.movedim(1, -1)).all())
True
"""

import ctypes
from functools import cache
from typing import Any

import llvmlite.ir as ir
import torch
from torch import Tensor

from echocast.nn.fused.compiler import call, loop, machine_code, whole

_SIDE = 8

_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_F32, _SIDE)

_SLOTS = ("source", "target", "lines", "rows", "columns")
_STRIDES = ("source_image", "source_line", "source_row", "target_image", "target_line", "target_row")


def to_last(target: Tensor, x: Tensor) -> None:
    """Copy `x`, (batch, channel, *space), to `target`, (batch, *space, channel), wherever the two lie in memory."""
    if not _turn(target, x.movedim(1, 2) if x.dim() == 4 else x):
        target.copy_(x.movedim(1, -1))


def to_first(target: Tensor, images: Tensor) -> None:
    """Copy `images`, (batch, *space, channel), to `target`, (batch, channel, *space)."""
    if not _turn(target.movedim(1, 2) if target.dim() == 4 else target, images):
        target.copy_(images.movedim(-1, 1))


def _turn(target: Tensor, source: Tensor) -> bool:
    """Copy (image, line, row, column) to (image, line, column, row), both with their last axis adjacent; whether that
    could be done."""
    kinds = {(t.dim(), t.dtype, t.stride(-1)) for t in (source, target)}
    if kinds != {(4, torch.float32, 1)} or min(source.shape) < 1 or min(source.shape[2:]) < _SIDE:
        return False
    images, lines, rows, columns = source.shape
    values = source.data_ptr(), target.data_ptr(), lines, rows, columns, *source.stride()[:3], *target.stride()[:3]
    engine, address = _compiled()
    del engine  # kept alive by the cache
    call(address, images * lines, (ctypes.c_int64 * len(values))(*values))
    return True


@cache
def _compiled() -> tuple[Any, int]:
    module = ir.Module("turned")
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_I64, _I64, ir.IntType(8).as_pointer()]), "turned")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    slots = builder.bitcast(function.args[2], _I64.as_pointer())
    at = {name: builder.load(builder.gep(slots, [whole(k)])) for k, name in enumerate((*_SLOTS, *_STRIDES))}
    side = whole(_SIDE)
    full_rows, full_columns = (builder.sub(at[name], builder.srem(at[name], side)) for name in ("rows", "columns"))
    with loop(builder, function.args[0], function.args[1], 1) as part:
        image, line = builder.sdiv(part, at["lines"]), builder.srem(part, at["lines"])
        starts = {}
        for name in ("source", "target"):
            along = builder.mul(image, at[f"{name}_image"]), builder.mul(line, at[f"{name}_line"])
            starts[name] = builder.gep(builder.inttoptr(at[name], _F32.as_pointer()), [builder.add(*along)])
        with loop(builder, whole(0), full_rows, _SIDE) as row, loop(builder, whole(0), full_columns, _SIDE) as column:
            _square(builder, at, starts, row, column)
        for rows, columns in (
            ((full_rows, at["rows"]), (whole(0), at["columns"])),
            ((whole(0), full_rows), (full_columns, at["columns"])),
        ):
            with loop(builder, *rows, 1) as row, loop(builder, *columns, 1) as column:
                value = builder.load(_place(builder, at, starts, "source", row, column))
                builder.store(value, _place(builder, at, starts, "target", column, row))
    builder.ret_void()
    engine = machine_code(str(module))
    return engine, engine.get_function_address("turned")


def _square(builder: Any, at: dict[str, Any], starts: dict[str, Any], row: Any, column: Any) -> None:
    def vector(name: str, first: Any, second: Any) -> Any:
        return builder.bitcast(_place(builder, at, starts, name, first, second), _VECTOR.as_pointer())

    lines = [builder.load(vector("source", builder.add(row, whole(k)), column), align=4) for k in range(_SIDE)]
    half = _SIDE // 2
    for _ in range(_SIDE.bit_length() - 1):  # each time, the highest bit of a value's place becomes the lowest
        pairs = [(lines[k], lines[k + half], part) for k in range(half) for part in (0, half)]
        lines = [
            builder.shuffle_vector(
                one,
                other,
                ir.Constant(
                    ir.VectorType(_I32, _SIDE),
                    [part + k // 2 + (_SIDE if k % 2 else 0) for k in range(_SIDE)],
                ),
            )
            for one, other, part in pairs
        ]
    for k, line in enumerate(lines):
        builder.store(line, vector("target", builder.add(column, whole(k)), row), align=4)


def _place(builder: Any, at: dict[str, Any], starts: dict[str, Any], name: str, row: Any, column: Any) -> Any:
    return builder.gep(starts[name], [builder.add(builder.mul(row, at[f"{name}_row"]), column)])
