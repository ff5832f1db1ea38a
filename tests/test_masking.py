"""Truths of every masking scheme; a new member of the union is tested unasked."""

from typing import Literal, get_args, get_origin

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from napari_selfdenoise.masking import GridMask, Mask, Masking, RandomMask
from napari_selfdenoise.networks import UNet

MEMBERS = get_args(get_args(Masking)[0])


def _with_every_choice(member):
    yield member()
    for name, field in member.model_fields.items():
        if name != "kind" and get_origin(field.annotation) is Literal:
            yield from (member(**{name: c}) for c in get_args(field.annotation))


FILLS = get_args(RandomMask.model_fields["fill"].annotation)
SCHEMES = [scheme for member in MEMBERS for scheme in _with_every_choice(member)]
SCHEMES += [RandomMask(fraction=0.5, fill=fill) for fill in FILLS]
SCHEMES += [GridMask(spacing_min=2, spacing_max=2)]

every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=repr)


def luck(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def patches(count: int = 2, side: int = 32) -> torch.Tensor:
    return torch.randn((count, 1, side, side), generator=luck(9))


@every_scheme
def test_only_masked_pixels_differ(scheme):
    batch, generator = patches(), luck()
    mask = scheme.draw(2, 32, 32, generator)
    filled = scheme.apply(batch, mask, generator)
    changed = filled != batch
    assert not changed[~mask.hidden].any()
    assert changed[mask.hidden].float().mean() > 0.99


@every_scheme
def test_positions_are_the_hidden_pixels(scheme):
    mask = scheme.draw(3, 24, 40, luck())
    marked = torch.zeros(3, 24 * 40, dtype=torch.bool).scatter(1, mask.positions, True)
    assert torch.equal(marked.view(3, 1, 24, 40), mask.hidden)
    assert mask.positions.shape[1] == mask.hidden[0].sum()  # none twice


def test_gather_reads_the_hidden_pixels():
    values = torch.arange(2 * 4 * 4.0).view(2, 1, 4, 4)
    mask = RandomMask(fraction=0.25).draw(2, 4, 4, luck())
    expected = [values[b][mask.hidden[b]] for b in range(2)]
    assert torch.equal(mask.gather(values).sort(1).values, torch.stack(expected))


@pytest.mark.parametrize("fraction", [0.001, 0.015, 0.25, 0.5])
def test_a_random_mask_hides_exactly_its_fraction_of_each_patch(fraction):
    mask = RandomMask(fraction=fraction).draw(4, 32, 48, luck())
    expected = round(fraction * 32 * 48)
    assert (mask.hidden.sum((1, 2, 3)) == expected).all()


def test_a_grid_of_3_to_5_px_hides_6_8_percent_on_average():
    generator = luck()
    shares = [
        GridMask().draw(1, 60, 60, generator).hidden.float().mean() for _ in range(600)
    ]
    # Mean of 1/3, 1/4 and 1/5, along both axes (Ollion et al. 2021, section 4.3).
    expected = ((1 / 3 + 1 / 4 + 1 / 5) / 3) ** 2
    assert torch.stack(shares).mean().item() == pytest.approx(expected, rel=0.05)


@every_scheme
def test_every_pixel_is_hidden_in_some_draw(scheme):
    generator = luck()
    seen = sum(scheme.draw(4, 16, 16, generator).hidden.sum(0) for _ in range(500))
    assert (seen > 0).all()


@every_scheme
def test_equal_seeds_give_equal_masks_and_fills(scheme):
    def run(seed):
        generator = luck(seed)
        mask = scheme.draw(2, 32, 32, generator)
        return mask.hidden, scheme.apply(patches(), mask, generator)

    assert all(torch.equal(a, b) for a, b in zip(run(1), run(1), strict=True))
    assert any(not torch.equal(run(1)[0], run(seed)[0]) for seed in range(2, 8))


@every_scheme
def test_a_masked_pixel_has_no_influence_on_its_own_prediction(scheme):
    torch.manual_seed(0)
    network = UNet(width=4).build(1)
    batch, generator = patches(1), luck()
    mask = scheme.draw(1, 32, 32, generator)
    state = generator.get_state()
    filled = scheme.apply(batch, mask, generator)
    for position in mask.positions[0, [0, len(mask.positions[0]) // 2, -1]]:
        other = batch.clone()
        other.view(-1)[position] = 1e6
        refilled = scheme.apply(other, mask, generator.set_state(state))
        assert torch.equal(refilled, filled)
        with torch.no_grad():
            before, after = (network(b).view(-1)[position] for b in (filled, refilled))
        assert torch.equal(before, after)


@every_scheme
def test_fills_come_from_unmasked_pixels_alone(scheme):
    batch, generator = patches(), luck()
    mask = scheme.draw(2, 32, 32, generator)
    state = generator.get_state()
    filled = scheme.apply(batch, mask, generator)
    other = torch.where(mask.hidden, torch.full_like(batch, 1e6), batch)
    assert torch.equal(scheme.apply(other, mask, generator.set_state(state)), filled)
    assert filled.abs().max() <= batch[~mask.hidden].abs().max()


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("block", [3, 5, 9, 17])
def test_a_hidden_block_is_filled_from_around_it(fill, block):
    """Also where all 8 neighbours are hidden; where 48 are, with 0, the median."""
    hidden = torch.zeros((1, 1, 17, 17), dtype=torch.bool)
    hidden[..., 4 : 4 + block, 4 : 4 + block] = True
    mask = Mask(hidden, hidden.view(1, -1).nonzero()[:, 1][None])
    batch = 5 + torch.rand((1, 1, 17, 17), generator=luck())
    batch[hidden] = 1e6
    filled = RandomMask(fill=fill).apply(batch, mask, luck())[hidden]
    visible = batch[~hidden]
    near = (filled >= visible.min() - 1e-4) & (filled <= visible.max() + 1e-4)
    assert (near | (filled == 0)).all()
    assert near.all() or block > 6


def test_a_mean_fill_is_the_mean_of_the_unmasked_neighbours():
    batch, generator = patches(1), luck()
    scheme = RandomMask(fraction=0.25, fill="mean")
    mask = scheme.draw(1, 32, 32, generator)
    filled = scheme.apply(batch, mask, generator)[0, 0]
    y, x = next(p for p in mask.hidden[0, 0].nonzero() if 0 < p.min() <= p.max() < 31)
    near = (..., slice(y - 1, y + 2), slice(x - 1, x + 2))
    visible = batch[near][~mask.hidden[near]]
    assert filled[y, x].item() == pytest.approx(visible.mean().item(), abs=1e-6)


@pytest.mark.parametrize(("fill", "reach"), [("median", 1), ("uniform", 2)])
def test_median_and_uniform_fills_are_values_of_unmasked_neighbours(fill, reach):
    batch, generator = patches(1), luck()
    scheme = RandomMask(fraction=0.25, fill=fill)
    mask = scheme.draw(1, 32, 32, generator)
    filled = scheme.apply(batch, mask, generator)[0, 0]
    for y, x in mask.hidden[0, 0].nonzero()[:50].tolist():
        rows = slice(max(0, y - reach), y + reach + 1)
        near = (..., rows, slice(max(0, x - reach), x + reach + 1))
        assert filled[y, x] in batch[near][~mask.hidden[near]]


def test_a_uniform_fill_reaches_all_24_neighbours():
    hidden = torch.zeros((1, 1, 5, 5), dtype=torch.bool)
    hidden[..., 2, 2] = True
    mask = Mask(hidden, torch.tensor([[12]]))
    batch, generator = torch.arange(25.0).view(1, 1, 5, 5), luck()
    scheme = RandomMask(fill="uniform")
    drawn = {
        scheme.apply(batch, mask, generator)[0, 0, 2, 2].item() for _ in range(400)
    }
    assert drawn == set(range(25)) - {12}


def test_a_grid_fill_is_the_gaussian_mean_of_the_8_neighbours():
    hidden = torch.zeros((1, 1, 3, 3), dtype=torch.bool)
    hidden[..., 1, 1] = True
    batch = torch.tensor([[1.0, 2, 3], [4, 100, 6], [7, 8, 9]])[None, None]
    filled = GridMask().apply(batch, Mask(hidden, torch.tensor([[4]])), luck())
    # exp(-r²/2) with r = 1 for the edges and √2 for the corners
    edge, corner = 0.6065307, 0.3678794
    expected = (edge * (2 + 4 + 6 + 8) + corner * (1 + 3 + 7 + 9)) / (
        4 * (edge + corner)
    )
    assert filled[0, 0, 1, 1].item() == pytest.approx(expected, rel=1e-6)


@every_scheme
def test_json_round_trip_by_kind(scheme):
    adapter = TypeAdapter(Masking)
    assert adapter.validate_json(adapter.dump_json(scheme)) == scheme


def test_a_smallest_spacing_above_the_largest_is_refused():
    with pytest.raises(ValidationError, match="larger than the"):
        GridMask(spacing_min=6, spacing_max=4)
