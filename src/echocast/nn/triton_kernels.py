"""The pointwise part of a time step on a GPU: one Triton kernel forwards and one backwards for each part.

Numbers are loaded as 32 bits, whatever they are stored as. A tensor of gates is (batch, parts x hidden, *space), and
lies in rows: one row per image, or per pixel where it is channels-last. In a row, parts follow one after the other,
each with `inner` numbers; rows are so far from each other as the caller says. States have one part, and no gaps.

To be imported only where Triton is installed.
"""

import triton
import triton.language as tl


@triton.jit
def _tanh(x):
    grown = tl.exp(-2.0 * tl.abs(x))
    size = (1.0 - grown) / (1.0 + grown)
    return tl.where(x < 0, -size, size)


@triton.jit
def _gate(start, added, place, other, valid, ADDED: tl.constexpr):
    x = tl.load(start + place, mask=valid, other=0.0).to(tl.float32)
    if ADDED:
        x += tl.load(added + other, mask=valid, other=0.0).to(tl.float32)
    return x


@triton.jit
def _peephole(start, part, outer, place, inner, pixels, valid, KIND: tl.constexpr, LAST: tl.constexpr):
    """A peephole, (3, hidden) or (3, hidden, pixels): `KIND` 1 or 2."""
    if LAST:
        channels, channel, pixel = inner, place, outer % pixels
    else:
        channels, channel, pixel = inner // pixels, place // pixels, place % pixels
    at = part * channels + channel
    if KIND == 2:
        at = at * pixels + pixel
    return tl.load(start + at, mask=valid, other=0.0).to(tl.float32)


@triton.jit
def lstm(
    gates, added, c, peephole, h_out, c_out, count, inner, row, added_row, pixels,
    ADDED: tl.constexpr, KIND: tl.constexpr, LAST: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """From the gates i, f, g, o before their activation and the old cell state to the new ``h`` and ``c``."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = i < count
    outer, place = i // inner, i % inner
    at, other = outer * row + place, outer * added_row + place
    old = tl.load(c + i, mask=valid, other=0.0).to(tl.float32)
    gi = _gate(gates, added, at, other, valid, ADDED)
    gf = _gate(gates, added, at + inner, other + inner, valid, ADDED)
    gg = _gate(gates, added, at + 2 * inner, other + 2 * inner, valid, ADDED)
    go = _gate(gates, added, at + 3 * inner, other + 3 * inner, valid, ADDED)
    if KIND > 0:
        gi += _peephole(peephole, 0, outer, place, inner, pixels, valid, KIND, LAST) * old
        gf += _peephole(peephole, 1, outer, place, inner, pixels, valid, KIND, LAST) * old
    new = tl.sigmoid(gf) * old + tl.sigmoid(gi) * _tanh(gg)
    if KIND > 0:
        go += _peephole(peephole, 2, outer, place, inner, pixels, valid, KIND, LAST) * new
    tl.store(c_out + i, new, mask=valid)
    tl.store(h_out + i, tl.sigmoid(go) * _tanh(new), mask=valid)


@triton.jit
def lstm_back(
    gates, added, c, peephole, dh, dc, d_gates, d_c, count, inner, row, added_row, pixels,
    ADDED: tl.constexpr, KIND: tl.constexpr, LAST: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """From the gradients of the new ``h`` and ``c`` to those of the gates before their activation and of the old c."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = i < count
    outer, place = i // inner, i % inner
    at, other, to = outer * row + place, outer * added_row + place, outer * 4 * inner + place
    old = tl.load(c + i, mask=valid, other=0.0).to(tl.float32)
    gi = _gate(gates, added, at, other, valid, ADDED)
    gf = _gate(gates, added, at + inner, other + inner, valid, ADDED)
    gg = _tanh(_gate(gates, added, at + 2 * inner, other + 2 * inner, valid, ADDED))
    go = _gate(gates, added, at + 3 * inner, other + 3 * inner, valid, ADDED)
    if KIND > 0:
        peep_i = _peephole(peephole, 0, outer, place, inner, pixels, valid, KIND, LAST)
        peep_f = _peephole(peephole, 1, outer, place, inner, pixels, valid, KIND, LAST)
        gi += peep_i * old
        gf += peep_f * old
    gi, gf = tl.sigmoid(gi), tl.sigmoid(gf)
    new = gf * old + gi * gg
    if KIND > 0:
        peep_o = _peephole(peephole, 2, outer, place, inner, pixels, valid, KIND, LAST)
        go += peep_o * new
    go, shown = tl.sigmoid(go), _tanh(new)
    d_shown = tl.load(dh + i, mask=valid, other=0.0).to(tl.float32)
    do = d_shown * shown * go * (1.0 - go)
    d_new = tl.load(dc + i, mask=valid, other=0.0).to(tl.float32) + d_shown * go * (1.0 - shown * shown)
    if KIND > 0:
        d_new += peep_o * do
    di, df = d_new * gg * gi * (1.0 - gi), d_new * old * gf * (1.0 - gf)
    d_old = d_new * gf
    if KIND > 0:
        d_old += peep_i * di + peep_f * df
    tl.store(d_gates + to, di, mask=valid)
    tl.store(d_gates + to + inner, df, mask=valid)
    tl.store(d_gates + to + 2 * inner, d_new * gi * (1.0 - gg * gg), mask=valid)
    tl.store(d_gates + to + 3 * inner, do, mask=valid)
    tl.store(d_c + i, d_old, mask=valid)


@triton.jit
def gru_gates(gates, added, h, reset, update, count, inner, row, added_row, ADDED: tl.constexpr, BLOCK: tl.constexpr):
    """From the gates r and u before their activation and the old hidden state to ``r h`` and u."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = i < count
    at, other = i // inner * row + i % inner, i // inner * added_row + i % inner
    r = tl.sigmoid(_gate(gates, added, at, other, valid, ADDED))
    u = tl.sigmoid(_gate(gates, added, at + inner, other + inner, valid, ADDED))
    tl.store(reset + i, r * tl.load(h + i, mask=valid, other=0.0).to(tl.float32), mask=valid)
    tl.store(update + i, u, mask=valid)


@triton.jit
def gru_gates_back(
    gates, added, h, d_reset, d_update, d_gates, d_h, count, inner, row, added_row,
    ADDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The gradients of what `gru_gates` is given."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = i < count
    at, other = i // inner * row + i % inner, i // inner * added_row + i % inner
    to = i // inner * 2 * inner + i % inner
    r = tl.sigmoid(_gate(gates, added, at, other, valid, ADDED))
    u = tl.sigmoid(_gate(gates, added, at + inner, other + inner, valid, ADDED))
    d = tl.load(d_reset + i, mask=valid, other=0.0).to(tl.float32)
    old = tl.load(h + i, mask=valid, other=0.0).to(tl.float32)
    du = tl.load(d_update + i, mask=valid, other=0.0).to(tl.float32)
    tl.store(d_gates + to, d * old * r * (1.0 - r), mask=valid)
    tl.store(d_gates + to + inner, du * u * (1.0 - u), mask=valid)
    tl.store(d_h + i, d * r, mask=valid)


@triton.jit
def gru_state(raw, added, update, h, out, count, inner, row, added_row, ADDED: tl.constexpr, BLOCK: tl.constexpr):
    """From the candidate before its activation, u and the old hidden state to the new one."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = i < count
    n = _tanh(_gate(raw, added, i // inner * row + i % inner, i // inner * added_row + i % inner, valid, ADDED))
    u = tl.load(update + i, mask=valid, other=0.0).to(tl.float32)
    tl.store(out + i, u * tl.load(h + i, mask=valid, other=0.0).to(tl.float32) + (1.0 - u) * n, mask=valid)


@triton.jit
def gru_state_back(
    raw, added, update, h, d, d_raw, d_update, d_h, count, inner, row, added_row,
    ADDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The gradients of what `gru_state` is given."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    valid = i < count
    n = _tanh(_gate(raw, added, i // inner * row + i % inner, i // inner * added_row + i % inner, valid, ADDED))
    u = tl.load(update + i, mask=valid, other=0.0).to(tl.float32)
    old = tl.load(h + i, mask=valid, other=0.0).to(tl.float32)
    dh = tl.load(d + i, mask=valid, other=0.0).to(tl.float32)
    tl.store(d_raw + i, dh * (1.0 - u) * (1.0 - n * n), mask=valid)
    tl.store(d_update + i, dh * (old - n), mask=valid)
    tl.store(d_h + i, dh * u, mask=valid)
