"""Every behaviour that a user of `torch.nn.LSTM` counts on, for each kind of layer, small or large, fused or plain.

A behaviour is a function of a `Case`: it checks what must hold, and gives what it computed. The matrix runs it on every
kind of layer and size, by the path that is asked for and by the plain one, and compares both. Large layers are just
large enough to take the fused path by themselves.
"""

import copy
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.nn.utils import parametrizations, parametrize, prune, skip_init, spectral_norm, weight_norm
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from definitions import randomised
from echocast.nn import LSTM, ConvGRU, ConvLSTM, fused

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

KINDS: dict[str, Any] = {"ConvLSTM": ConvLSTM, "ConvGRU": ConvGRU, "LSTM": LSTM}
GRIDS = {"small": (5, 6), "large": (40, 44)}
STEPS, BATCH, INPUTS, HIDDEN = 3, 2, 2, 8


@dataclass(frozen=True)
class Case:
    """A kind of layer, and the grid of its input."""

    make: Any
    space: tuple[int, ...]

    def layer(self, *, layers: int = 1, **options: Any) -> Any:
        return randomised(self.make(INPUTS, HIDDEN, num_layers=layers, **options), scale=0.2)

    def x(self, steps: int = STEPS, batch: int = BATCH) -> Tensor:
        return torch.randn(steps, batch, INPUTS, *self.space, generator=torch.Generator().manual_seed(1))

    def state(self, layer: Any, seed: int = 2) -> Any:
        random = torch.Generator().manual_seed(seed)
        parts = [
            torch.randn(len(layer.cells), BATCH, HIDDEN, *self.space, generator=random) for _ in range(layer.num_states)
        ]
        return parts[0] if layer.num_states == 1 else tuple(parts)


def parts(state: Any) -> tuple[Tensor, ...]:
    return (state,) if isinstance(state, Tensor) else tuple(state)


def tensors(state: Any) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else [one for part in state for one in tensors(part)]


def gradients(layer: Any, output: Tensor) -> list[Tensor]:
    layer.zero_grad()
    output.pow(2).sum().backward()
    found = [p.grad for p in layer.parameters()]
    assert all(g is not None for g in found)
    return found  # type: ignore[return-value]


def forward_mode(case: Case) -> list[Tensor]:
    """The derivative along a direction, with gradients and without, is the one that the backward pass gives."""
    layer, x = case.layer(), case.x()
    along, weight = torch.randn_like(x), torch.randn(STEPS, BATCH, HIDDEN, *case.space)
    tangents = []
    for switch in (torch.no_grad, torch.enable_grad):
        with switch(), forward_ad.dual_level():
            found = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, along))[0]).tangent
            assert found is not None
            tangents.append(found.detach().clone())
    (back,) = torch.autograd.grad(layer(x.requires_grad_())[0], x, weight)
    torch.testing.assert_close((tangents[0] * weight).sum(), (back * along).sum(), rtol=1e-3, atol=1e-2)
    return tangents


def tangent_of_a_weight(case: Case) -> list[Tensor]:
    """The same along a weight, which a layer may not see as an input."""
    layer, x = case.layer(), case.x()
    weights = {name: p.detach() for name, p in layer.named_parameters()}
    with torch.no_grad(), forward_ad.dual_level():
        dual = {name: forward_ad.make_dual(w, torch.ones_like(w)) for name, w in weights.items()}
        found = forward_ad.unpack_dual(functional_call(layer, dual, (x,))[0]).tangent
        assert found is not None
        return [found.clone()]


def second_derivatives(case: Case) -> list[Tensor]:
    """A penalty of the gradient can be trained with, also where the state comes from a layer and owes to the input."""
    layer, x = case.layer(layers=2), case.x().requires_grad_()
    output, state = layer(x, layer(x)[1])
    loss = output.pow(2).sum() + sum(part.sum() for part in parts(state))
    (slope,) = torch.autograd.grad(loss, x, create_graph=True)
    return [slope, *torch.autograd.grad(slope.pow(2).sum(), [x, *layer.parameters()])]


def learning_to_learn(case: Case) -> list[Tensor]:
    """A step of training that is trained through (MAML)."""
    layer, x = case.layer(), case.x()
    weights = dict(layer.named_parameters())
    found = torch.autograd.grad(
        functional_call(layer, weights, (x,))[0].sum(), list(weights.values()), create_graph=True
    )
    # So short a step that weights keep their size: gates of weights in the hundreds are too steep to compare.
    moved = {name: w - 1e-4 * g for (name, w), g in zip(weights.items(), found, strict=True)}
    loss = functional_call(layer, moved, (x,))[0].pow(2).sum()
    return list(torch.autograd.grad(loss, list(weights.values())))


def changed_in_place(case: Case) -> list[Tensor]:
    """Output and states may be changed in place before the backward pass."""
    found = []
    for hidden in (HIDDEN, [HIDDEN, 1]):
        layer = randomised(case.make(INPUTS, hidden), scale=0.2)
        output, state = layer(case.x())
        rest = sum(one.add_(1).sum() for one in tensors(state))
        found += torch.autograd.grad(output.relu_().sum() + rest, list(layer.parameters()))
    return found


def viewed(case: Case) -> list[Tensor]:
    """What comes out is contiguous."""
    layer, x = case.layer(layers=2), case.x()
    outputs = [layer(x)[0], *layer.all_layers(x)[0]]
    with torch.no_grad():
        outputs += [layer(x)[0], *layer.all_layers(x)[0], layer.step(x[0])[0]]
    states = [*parts(layer(x)[1]), *parts(layer.last_state(x))]
    assert all(one.is_contiguous() for one in (*outputs, *states))
    return [one.view(len(one), -1) for one in outputs]


def batch_first_viewed(case: Case) -> list[Tensor]:
    """So it is with ``batch_first``, where nn.LSTM's is not."""
    output = case.layer(batch_first=True)(case.x().transpose(0, 1))[0]
    assert output.is_contiguous()
    return [output]


def other_default_dtype(case: Case) -> list[Tensor]:
    """Layers do not take their dtype from the defaults of PyTorch, nor their device."""
    found = []
    for size in ((), (1,)) if case.space else ((),):
        space = tuple(n + sum(size) for n in case.space)  # by tiles, and directly
        layer, x = case.layer(), torch.randn(STEPS, BATCH, INPUTS, *space)
        expected = [layer(x)[0], *gradients(layer, layer(x)[0])]
        with defaults(torch.float64, "meta"):
            made = [layer(x)[0], *gradients(layer, layer(x)[0])]
        for one, other in zip(made, expected, strict=True):
            assert torch.equal(one, other)
            assert one.dtype == torch.float32
        found += made
    return found


@contextmanager
def defaults(dtype: torch.dtype, device: str) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def trained_with(change: Callable[[nn.Module], Any]) -> Callable[[Case], list[Tensor]]:
    def behaviour(case: Case) -> list[Tensor]:
        layer, x = case.layer(layers=2), case.x()
        torch.manual_seed(0)
        for cell in layer.cells:
            change(cell)
        optimiser, losses = torch.optim.SGD(layer.parameters(), 1e-4), []
        for _ in range(3):
            optimiser.zero_grad()
            loss = layer(x)[0].pow(2).sum()
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
        assert losses[2] < losses[1] < losses[0]
        layer.eval()
        with torch.no_grad():  # whatever hooks compute is up to date here too
            streamed = layer(x)[0]
        torch.testing.assert_close(layer(x)[0].detach(), streamed, rtol=0, atol=1e-4)
        return [*losses, streamed]

    return behaviour


def pruned_stays_pruned(case: Case) -> list[Tensor]:
    """What was pruned has no gradient, and moving the layer by `to` moves what the hook computes."""
    layer = case.layer()
    torch.manual_seed(0)
    prune.random_unstructured(layer.cells[0], "weight_h", 0.5)
    kept = layer.cells[0].weight_h_mask
    layer(case.x())[0].sum().backward()
    assert layer.cells[0].weight_h_orig.grad[kept == 0].abs().max() == 0
    return [layer.double()(case.x().double())[0].float()]


def the_same_by_hook_and_parametrization(case: Case) -> list[Tensor]:
    """The new way to normalise weights gives what the old one does."""
    old, new = case.layer(), case.layer()
    weight_norm(old.cells[0], "weight_h")
    parametrizations.weight_norm(new.cells[0], "weight_h")
    made = new(case.x())[0]
    torch.testing.assert_close(made, old(case.x())[0])
    return [made]


def weights_are_read_once(case: Case) -> list[Tensor]:
    """A parametrisation is computed once for a sequence, and not in every time step."""
    counted = []

    class Half(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            counted.append(1)
            return weight / 2

    layer = case.layer()
    parametrize.register_parametrization(layer.cells[0], "weight_h", Half())
    counted.clear()
    output = layer(case.x(steps=6))[0]
    assert len(counted) == 1
    return [output]


def hooks_fire(case: Case) -> list[Tensor]:
    """A hook on a cell acts once per sequence, whichever method of the layer is called, and may change the output."""
    layer, x, seen = case.layer(layers=2), case.x(), []
    for cell in layer.cells:
        cell.register_forward_hook(lambda cell, given, output: seen.append(cell))
    calls = [layer, layer.all_layers, layer.last_state, lambda frames: layer.step(frames[0])]
    for switch in (torch.no_grad, torch.enable_grad):
        for call in calls:
            seen.clear()
            with switch():
                call(x)
            assert seen == list(layer.cells)
    layer.cells[-1].register_forward_hook(lambda cell, given, output: (output[0] * 0, output[1]))
    assert not layer(x)[0].any()
    return []


def dropout_without_gradients(case: Case) -> list[Tensor]:
    """Monte Carlo dropout: a layer in training drops under `no_grad` what it drops with gradients."""
    layer, x = case.layer(layers=2, dropout=0.5).train(), case.x()
    torch.manual_seed(3)
    expected = layer(x)[0]
    for switch in (torch.no_grad, torch.inference_mode):
        torch.manual_seed(3)
        with switch():
            made = layer(x)[0]
            assert not torch.equal(made, layer(x)[0])
            assert not torch.equal(layer.step(x[0])[0], layer.step(x[0])[0])
        torch.testing.assert_close(made, expected.detach(), rtol=0, atol=1e-5)
    layer.requires_grad_(False)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    return [expected]


def the_same_channels_in_every_segment(case: Case) -> list[Tensor]:
    """Gradient checkpointing draws one recurrent dropout for the whole sequence."""
    x, found = case.x(steps=7), []
    for checkpointing in (False, True):
        layer = case.layer(
            layers=2, recurrent_dropout=0.5, input_dropout=0.4, gradient_checkpointing=checkpointing
        ).train()
        torch.manual_seed(4)
        output = layer(x)[0]
        found.append([output, *gradients(layer, output)])
    for one, other in zip(*found, strict=True):
        largest = float(other.detach().abs().max())  # sums of thousands of values, in another order
        torch.testing.assert_close(one, other, rtol=0, atol=2e-5 * largest)
    return found[0]


def cells_drop_too(case: Case) -> list[Tensor]:
    """A cell that is called step by step drops channels in training, the same ones if it is told which."""
    cell = case.layer(recurrent_dropout=0.5, input_dropout=0.5).cells[0].train()
    x, old = case.x()[0], torch.ones(BATCH, HIDDEN, *case.space)
    state = old if cell.num_states == 1 else (old, old)
    assert not torch.equal(parts(cell(x, state))[0], parts(cell(x, state))[0])
    torch.manual_seed(5)
    drawn = cell.draw_dropout(BATCH)
    one, other = cell(x, state, dropout=drawn), cell(x, state, dropout=drawn)
    for made, again in zip(parts(one), parts(other), strict=True):
        assert torch.equal(made, again)
    assert cell.eval().draw_dropout(BATCH) is None
    return list(parts(one))


def packed(case: Case) -> list[Tensor]:
    """A packed sequence comes back packed, and each sequence is what it is alone."""
    layer, lengths = case.layer(layers=2, bidirectional=True), [2, 4, 4]
    x = case.x(steps=4, batch=3)
    given = pack_padded_sequence(x, lengths, enforce_sorted=False)  # type: ignore[arg-type]
    output, state = layer(given)
    assert isinstance(output, PackedSequence)
    assert torch.equal(output.batch_sizes, given.batch_sizes)
    assert torch.equal(output.sorted_indices, given.sorted_indices)
    padded, told = pad_packed_sequence(output)
    assert told.tolist() == lengths
    for k, length in enumerate(lengths):
        alone, last = layer(x[:length, k])
        torch.testing.assert_close(padded[:length, k], alone, rtol=0, atol=1e-5)
        for one, other in zip(parts(state), parts(last), strict=True):
            torch.testing.assert_close(one[:, k], other, rtol=0, atol=1e-5)
    first, _ = layer.all_layers(given)
    assert all(isinstance(one, PackedSequence) for one in first)
    return [output.data, *parts(layer.last_state(given))]


def lengths_everywhere(case: Case) -> list[Tensor]:
    """Lengths are a tensor or a list, and all methods that take a sequence take them, or a mask."""
    layer, x = case.layer(layers=2), case.x()
    output, state = layer(x, lengths=torch.tensor([3, 1]))
    shown = torch.arange(STEPS)[:, None] < torch.tensor([3, 1])
    for options in ({"lengths": [3, 1]}, {"lengths": np.array([3, 1]).tolist()}, {"mask": shown}):
        assert torch.equal(layer(x, **options)[0], output)
        assert torch.equal(layer.all_layers(x, **options)[0][1], output)
        for one, other in zip(parts(layer.last_state(x, **options)), parts(state), strict=True):
            assert torch.equal(one, other)
    return [output]


def made_without_initialisation(case: Case) -> list[Tensor]:
    """`skip_init` makes the layer, whose weights may then be loaded."""
    layer = case.layer()
    bare = skip_init(case.make, INPUTS, HIDDEN)
    bare.load_state_dict(layer.state_dict())
    return [bare(case.x())[0]]


def nothing_in_the_batch(case: Case) -> list[Tensor]:
    """An empty batch gives an empty output, with lengths too, and can be trained with."""
    layer, x = case.layer(layers=2), case.x(batch=0)
    for options in ({}, {"lengths": torch.zeros(0, dtype=torch.int64)}, {"lengths": []}):
        output, state = layer(x, **options)
        assert output.shape == (STEPS, 0, HIDDEN, *case.space)
        assert all(part.shape == (2, 0, HIDDEN, *case.space) for part in parts(state))
        output.sum().backward()
    return [output]


def from_inference_mode(case: Case) -> list[Tensor]:
    """Input and state that were made in inference mode may be trained with."""
    layer, cell = case.layer(), case.layer().cells[0]
    with torch.inference_mode():
        x, state = case.x() * 1, case.state(layer)
        _, state = layer(x, state)
        again = cell(x[0])
    found = gradients(layer, layer(x, state)[0])
    assert parts(cell(x[0].clone(), again))[0].requires_grad
    return found


def a_bad_value_stays_where_it_is(case: Case) -> list[Tensor]:
    """NaN spoils the pixels that the kernels reach from it, infinity none, a huge value no other's digits."""
    layer, x = case.layer(), case.x(steps=1)
    place, near = reach(case)
    with torch.no_grad():
        clean = layer(x)[0]
        for value in (torch.nan, torch.inf, 1e6):
            bad = x.clone()
            bad[(0, 0, 0, *place)] = value
            for switch in (torch.no_grad, torch.enable_grad):
                with switch():
                    made = layer(bad)[0].detach()
                reached = made[0, 0, 0].isnan()
                assert torch.equal(reached, near if value != value else torch.zeros_like(near))
                far = ~near
                torch.testing.assert_close(made[0, 0][:, far], clean[0, 0][:, far], rtol=0, atol=1e-5)
                torch.testing.assert_close(made[0, 1], clean[0, 1], rtol=0, atol=1e-5)
    return [made]


def a_bad_gradient_stays_where_it_is(case: Case) -> list[Tensor]:
    """NaN in a gradient spoils the gradient of the pixels that the kernel reaches from it."""
    layer, x = case.layer(), case.x(steps=1).requires_grad_()
    output, _ = layer(x)
    given, (place, near) = torch.ones_like(output), reach(case)
    given[(0, 0, 0, *place)] = torch.nan
    (found,) = torch.autograd.grad(output, x, given)
    assert found[0, 0, 0][place].isnan()
    assert not found[0, 0, 0][~near].isnan().any()
    return [found.nan_to_num()]


def reach(case: Case) -> tuple[tuple[int, ...], Tensor]:
    """The pixel in the middle, and those that a time step's kernels reach from it: a ConvGRU has one after another."""
    place, radius = tuple(n // 2 for n in case.space), 2 if case.make is ConvGRU else 1
    near = torch.zeros(case.space, dtype=torch.bool)
    near[tuple(slice(p - radius, p + radius + 1) for p in place)] = True
    return place, near


def weights_of_two_dtypes(case: Case) -> list[Tensor]:
    """A bias of another dtype is refused."""
    layer = case.layer()
    layer.cells[0].bias = nn.Parameter(layer.cells[0].bias.double())
    with pytest.raises(RuntimeError, match="same"):
        layer(case.x())
    return []


def traced(case: Case) -> list[Tensor]:
    """A trace holds for its number of time steps, and refuses another."""
    layer = case.layer().eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        trace = torch.jit.trace(layer, case.x(), check_trace=False)
        made = trace(case.x())[0]
        torch.testing.assert_close(made, layer(case.x())[0], rtol=0, atol=1e-5)
        for steps in (STEPS - 1, STEPS + 1):
            with pytest.raises(RuntimeError, match=r"unpack|elements"):
                trace(case.x(steps=steps))
    return [made]


def scripted(case: Case) -> list[Tensor]:
    """TorchScript's compiler is refused, alone and inside a network, with the name of what to use."""
    for module in (case.layer(), nn.Sequential(case.layer())):
        with pytest.raises(NotImplementedError, match=r"use torch\.export\.export"):
            torch.jit.script(module)
    return []


def copied(case: Case) -> list[Tensor]:
    """A copy of a layer that was used and has hooks is a layer of its own."""
    layer = case.layer()
    prune.l1_unstructured(layer.cells[0], "weight_h", 0.5)
    output = layer(case.x())[0]
    output.sum().backward()
    layer.zero_grad()
    with torch.no_grad():
        layer(case.x())
        again = copy.deepcopy(layer)
        return [again(case.x())[0]]


def started_again(case: Case) -> list[Tensor]:
    """`reset_parameters` draws the weights of all layers anew, as the constructor did."""
    layer = case.make(INPUTS, HIDDEN, num_layers=2)
    before = [p.detach().clone() for p in layer.parameters()]
    torch.manual_seed(6)
    layer.reset_parameters()
    assert not torch.equal(before[0], layer.cells[0].weight_x)
    torch.manual_seed(6)
    for one, other in zip(layer.parameters(), case.make(INPUTS, HIDDEN, num_layers=2).parameters(), strict=True):
        assert torch.equal(one, other)
    return []


def sizes_of_numpy(case: Case) -> list[Tensor]:
    """Whole numbers of NumPy are whole numbers."""
    layer = randomised(case.make(np.int64(INPUTS), np.int32(HIDDEN), num_layers=2), scale=0.2)
    assert (layer.hidden_channels, layer.in_channels, layer.stacked) == (HIDDEN, INPUTS, True)
    assert case.make(INPUTS, [np.int64(HIDDEN)]).hidden_channels == [HIDDEN]
    return [layer(case.x())[0]]


def told_by_repr(case: Case) -> list[Tensor]:
    """`repr` shows what the layer was made with."""
    layer = case.make(INPUTS, HIDDEN, num_layers=2, batch_first=True, bidirectional=True, dropout=0.25)
    for word in (f"{INPUTS}, {HIDDEN}", "num_layers=2", "batch_first=True", "bidirectional=True", "dropout=0.25"):
        assert word in repr(layer)
    return []


BEHAVIOURS: list[Callable[[Case], list[Tensor]]] = [
    forward_mode, tangent_of_a_weight, second_derivatives, learning_to_learn, changed_in_place, viewed,
    batch_first_viewed, other_default_dtype, pruned_stays_pruned, the_same_by_hook_and_parametrization,
    weights_are_read_once, hooks_fire, dropout_without_gradients, the_same_channels_in_every_segment, cells_drop_too,
    packed, lengths_everywhere, made_without_initialisation, nothing_in_the_batch, from_inference_mode,
    a_bad_value_stays_where_it_is, a_bad_gradient_stays_where_it_is, weights_of_two_dtypes, traced, scripted, copied,
    started_again, sizes_of_numpy, told_by_repr,
]  # fmt: skip

ALL = {behaviour.__name__: behaviour for behaviour in BEHAVIOURS} | {
    "trained_with_weight_norm": trained_with(lambda cell: weight_norm(cell, "weight_h")),
    "trained_with_spectral_norm": trained_with(lambda cell: spectral_norm(cell, "weight_x")),
    "trained_with_new_weight_norm": trained_with(lambda cell: parametrizations.weight_norm(cell, "weight_x")),
    "trained_with_pruning": trained_with(lambda cell: prune.random_unstructured(cell, "weight_x", 0.3)),
}

PATHS = {"fused": fused.always, "plain": fused.plain}


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize(
    ("kind", "size"), [(kind, size) for kind in KINDS for size in GRIDS if (kind, size) != ("LSTM", "large")]
)
@pytest.mark.parametrize("behaviour", ALL)
def test_every_behaviour(behaviour: str, kind: str, size: str) -> None:
    case = Case(KINDS[kind], GRIDS[size] if kind != "LSTM" else ())
    outcomes = []
    for path in PATHS.values():
        torch.manual_seed(0)
        with path():
            outcomes.append(ALL[behaviour](case))
    for one, other in zip(*outcomes, strict=True):
        torch.testing.assert_close(
            one, other, rtol=1e-3, atol=1e-4 * float(other.detach().abs().max()) if other.numel() else 0
        )


def test_large_cases_take_the_fused_path_by_themselves() -> None:
    layer = Case(ConvLSTM, GRIDS["large"]).layer()
    weights = layer.cells[0].weights()
    state = (torch.zeros(BATCH, HIDDEN, *GRIDS["large"]),) * 2
    assert layer.cells[0]._fuses(None, state, weights, STEPS)
    assert not layer.cells[0]._fuses(None, tuple(part[..., :6, :6] for part in state), weights, STEPS)


def test_small_cases_take_it_where_there_are_tiles_and_in_inference_before_training() -> None:
    layer = ConvLSTM(1, 8)
    state, weights = (torch.zeros(1, 8, 32, 32),) * 2, layer.cells[0].weights()
    assert not layer.cells[0]._fuses(None, state, weights, 20)
    with torch.no_grad():
        assert layer.cells[0]._fuses(None, state, weights, 20)
        assert not layer.cells[0]._fuses(None, state, weights, 3)
        assert not layer.cells[0]._fuses(None, tuple(part[..., :16] for part in state), weights, 20)


def test_a_gru_takes_the_fused_path_where_there_are_tiles() -> None:
    for hidden, kernel, grid, expected in ((32, 3, 32, True), (4, 3, 16, False), (32, 7, 32, False), (64, 5, 9, False)):
        layer = ConvGRU(hidden, hidden, input_kernel=kernel, state_kernel=kernel)
        state = (torch.zeros(BATCH, hidden, grid, grid),)
        assert layer.cells[0]._fuses(None, state, layer.cells[0].weights(), 20) is expected


def test_paths_are_chosen_by_each_thread() -> None:
    inside, outside = threading.Barrier(2), []

    def other(context: Any) -> None:
        with context():
            inside.wait()
            inside.wait()

    for context in (fused.plain, fused.direct, fused.always):
        thread = threading.Thread(target=other, args=(context,))
        thread.start()
        inside.wait()
        outside.append((fused.switches.is_plain(), fused.switches.is_direct(), fused.switches.min_products()))
        inside.wait()
        thread.join()
    assert outside == [(False, False, 10_000_000)] * 3
