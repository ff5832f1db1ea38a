"""Truths of every masking scheme; a new member of the union is tested unasked."""

from typing import Literal, get_args, get_origin

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from scipy import ndimage

from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.parts.masking import (
    ORIENTATIONS,
    BinMask,
    GridMask,
    LineMask,
    Mask,
    Masking,
    NoMask,
    RandomMask,
    ShapeMask,
    footprint_text,
)
from napari_selfdenoise.parts.networks import HalfPlaneUNet, UNet

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
SCHEMES += [LineMask(axis="y", extent=1, fraction=0.5), LineMask(extent=9)]
FOOTPRINTS = ["1x1", "3x7", "9x1", "010/111/010", "110/111/000", "101/010/101"]
FOOTPRINTS += ["00100/11111/00110", "1/0/1/1/1"]
SCHEMES += [ShapeMask(footprint=footprint) for footprint in FOOTPRINTS]

every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=repr)


def luck(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def patches(count: int = 2, side: int = 32) -> torch.Tensor:
    return torch.randn((count, 1, side, side), generator=luck(9))


def marked(positions, height, width):
    flat = torch.zeros(len(positions), height * width, dtype=torch.bool)
    return flat.scatter(1, positions, True).view(-1, 1, height, width)


def turn(values, way):
    transpose, *flips = way
    turned = values.transpose(-1, -2) if transpose else values
    return turned.flip([axis for axis in (-2, -1) if flips[axis]])


@every_scheme
def test_only_masked_pixels_differ(scheme):
    batch, generator = patches(), luck()
    mask = scheme.draw(2, 32, 32, generator)
    filled = scheme.apply(batch, mask, generator)
    changed = filled != batch
    assert not changed[~mask.masked].any()
    assert not mask.masked.any() or changed[mask.masked].float().mean() > 0.99
    assert mask.masked.any() == scheme.masks_pixels


@every_scheme
def test_what_is_hidden_is_hidden_for_the_sake_of_targets(scheme):
    mask = scheme.draw(3, 24, 40, luck())
    targets = marked(mask.positions, 24, 40)
    assert torch.equal(mask.masked, scheme.masked_for(targets))
    assert (targets.sum((1, 2, 3)) == mask.positions.shape[1]).all()  # none twice
    assert not (targets & ~mask.masked).any() or not scheme.masks_pixels
    if not scheme.correlated and scheme.masks_pixels:
        assert torch.equal(mask.masked, targets)


def test_gather_reads_the_targets():
    values = torch.arange(2 * 4 * 4.0).view(2, 1, 4, 4)
    mask = RandomMask(fraction=0.25).draw(2, 4, 4, luck())
    expected = [values[b][mask.masked[b]] for b in range(2)]
    assert torch.equal(mask.gather(values).sort(1).values, torch.stack(expected))


@pytest.mark.parametrize("fraction", [0.001, 0.015, 0.25, 0.5])
def test_a_random_mask_hides_exactly_its_fraction_of_each_patch(fraction):
    mask = RandomMask(fraction=fraction).draw(4, 32, 48, luck())
    expected = round(fraction * 32 * 48)
    assert (mask.masked.sum((1, 2, 3)) == expected).all()


def test_a_grid_of_3_to_5_px_hides_6_8_percent_on_average():
    generator = luck()
    shares = [
        GridMask().draw(1, 60, 60, generator).masked.float().mean() for _ in range(600)
    ]
    # Mean of 1/3, 1/4 and 1/5, along both axes (Ollion et al. 2021, section 4.3).
    expected = ((1 / 3 + 1 / 4 + 1 / 5) / 3) ** 2
    assert torch.stack(shares).mean().item() == pytest.approx(expected, rel=0.05)


@every_scheme
def test_every_pixel_is_a_target_in_some_draw(scheme):
    generator = luck()
    seen = sum(
        marked(scheme.draw(8, 16, 16, generator).positions, 16, 16).sum(0)
        for _ in range(500)
    )
    assert (seen > 0).all()


@every_scheme
def test_equal_seeds_give_equal_masks_and_fills(scheme):
    def run(seed):
        generator = luck(seed)
        mask = scheme.draw(2, 32, 32, generator)
        return mask.masked, scheme.apply(patches(), mask, generator)

    assert all(torch.equal(a, b) for a, b in zip(run(1), run(1), strict=True))
    if scheme.masks_pixels:
        assert any(not torch.equal(run(1)[0], run(seed)[0]) for seed in range(2, 8))


@every_scheme
def test_a_masked_pixel_has_no_influence_on_its_own_prediction(scheme):
    torch.manual_seed(0)
    network = (UNet if scheme.masks_pixels else HalfPlaneUNet)(width=4).build(1)
    batch, generator = patches(1), luck()
    mask = scheme.draw(1, 32, 32, generator)
    state = generator.get_state()
    filled = scheme.apply(batch, mask, generator)
    for position in mask.positions[0, [0, len(mask.positions[0]) // 2, -1]]:
        other = batch.clone()
        other.view(-1)[position] = 1e6
        refilled = scheme.apply(other, mask, generator.set_state(state))
        assert torch.equal(refilled, filled) == scheme.masks_pixels
        with torch.no_grad():
            before, after = (network(b).view(-1)[position] for b in (filled, refilled))
        assert torch.equal(before, after)


@every_scheme
def test_fills_come_from_unmasked_pixels_alone(scheme):
    batch, generator = patches(), luck()
    mask = scheme.draw(2, 32, 32, generator)
    state = generator.get_state()
    filled = scheme.apply(batch, mask, generator)
    other = torch.where(mask.masked, torch.full_like(batch, 1e6), batch)
    assert torch.equal(scheme.apply(other, mask, generator.set_state(state)), filled)
    assert filled.abs().max() <= batch[~mask.masked].abs().max()


@every_scheme
def test_a_turned_image_is_masked_alike_where_the_scheme_says_so(scheme):
    assert scheme.orientations[0] == (False, False, False)
    assert [w for w in ORIENTATIONS if w in scheme.orientations] == [
        *scheme.orientations
    ]
    targets = torch.zeros((1, 1, 90, 90), dtype=torch.bool)
    targets[..., 40, 45] = targets[..., 50, 42] = True
    alike = [
        torch.equal(
            turn(scheme.masked_for(targets), way), scheme.masked_for(turn(targets, way))
        )
        for way in ORIENTATIONS
    ]
    assert alike == [way in scheme.orientations for way in ORIENTATIONS]


@every_scheme
def test_footprints_on_the_lattice_leave_visible_pixels_around_each(scheme):
    step_y, step_x = scheme.lattice
    for offset in range(max(step_y, step_x)):
        targets = torch.zeros((1, 1, 80, 100), dtype=torch.bool)
        targets[..., offset % step_y :: step_y, offset % step_x :: step_x] = True
        hidden = scheme.masked_for(targets)[0, 0].numpy()
        window = (step_y + 1, step_x + 1)
        seen = ndimage.uniform_filter((~hidden).astype(float), window)
        assert (seen[targets[0, 0].numpy()] > 1e-6).all()


@pytest.mark.parametrize("scheme", [LineMask(), ShapeMask(), RandomMask()], ids=repr)
def test_footprints_on_the_lattice_do_not_touch(scheme):
    step_y, step_x = scheme.lattice
    targets = torch.zeros((1, 1, 40, 60), dtype=torch.bool)
    targets[..., ::step_y, ::step_x] = True
    hidden = scheme.masked_for(targets)[0, 0].numpy()
    diagonals_touch = np.ones((3, 3))
    assert ndimage.label(hidden, diagonals_touch)[1] == targets.sum()


@every_scheme
def test_a_whole_image_is_masked_on_the_lattice(scheme):
    """As in a blind prediction: one mask for several images, targets not listed."""
    step_y, step_x = scheme.lattice
    targets = torch.zeros((1, 1, 13, 20), dtype=torch.bool)
    targets[..., ::step_y, ::step_x] = True
    mask = Mask(scheme.masked_for(targets), torch.zeros((1, 0), dtype=torch.long))
    batch = patches(2)[..., :13, :20]
    filled = scheme.apply(batch, mask, luck())
    changed = (filled != batch).expand(2, 1, 13, 20)
    assert torch.equal(changed, mask.masked.expand(2, 1, 13, 20))


@every_scheme
def test_the_scheme_for_measuring_has_no_more_targets(scheme):
    sparse = scheme.sparse()
    assert type(sparse) is type(scheme)
    counts = [s.draw(1, 60, 60, luck()).positions.shape[1] for s in (sparse, scheme)]
    assert counts[0] <= counts[1]
    assert sparse.orientations == scheme.orientations


@every_scheme
def test_a_patch_with_nothing_visible_is_filled_with_its_likely_median(scheme):
    hidden = torch.ones((2, 1, 8, 8), dtype=torch.bool)
    mask = Mask(hidden, torch.arange(64).repeat(2, 1))
    filled = scheme.apply(torch.full((2, 1, 8, 8), 7.0), mask, luck())
    assert torch.equal(filled == 0, torch.full_like(hidden, scheme.masks_pixels))


@pytest.mark.parametrize("side", [1, 2, 3, 7])
@every_scheme
def test_patches_smaller_than_a_footprint_are_masked_too(scheme, side):
    mask = scheme.draw(2, side, 5, luck())
    filled = scheme.apply(patches(2)[..., :side, :5], mask, luck())
    assert filled.shape == mask.masked.shape == (2, 1, side, 5)
    assert filled.isfinite().all()


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("block", [3, 5, 9, 17])
def test_a_hidden_block_is_filled_from_around_it(fill, block):
    """Also where all 8 neighbours are hidden; where 48 are, with the patch's mean."""
    hidden = torch.zeros((1, 1, 17, 17), dtype=torch.bool)
    hidden[..., 4 : 4 + block, 4 : 4 + block] = True
    mask = Mask(hidden, hidden.view(1, -1).nonzero()[:, 1][None])
    batch = 5 + torch.rand((1, 1, 17, 17), generator=luck())
    batch[hidden] = 1e6
    filled = RandomMask(fill=fill).apply(batch, mask, luck())[hidden]
    visible = batch[~hidden]
    near = (filled >= visible.min() - 1e-4) & (filled <= visible.max() + 1e-4)
    assert near.all()


def test_a_mean_fill_is_the_mean_of_the_unmasked_neighbours():
    batch, generator = patches(1), luck()
    scheme = RandomMask(fraction=0.25, fill="mean")
    mask = scheme.draw(1, 32, 32, generator)
    filled = scheme.apply(batch, mask, generator)[0, 0]
    y, x = next(p for p in mask.masked[0, 0].nonzero() if 0 < p.min() <= p.max() < 31)
    near = (..., slice(y - 1, y + 2), slice(x - 1, x + 2))
    visible = batch[near][~mask.masked[near]]
    assert filled[y, x].item() == pytest.approx(visible.mean().item(), abs=1e-6)


@pytest.mark.parametrize(("fill", "reach"), [("median", 1), ("uniform", 2)])
def test_median_and_uniform_fills_are_values_of_unmasked_neighbours(fill, reach):
    batch, generator = patches(1), luck()
    scheme = RandomMask(fraction=0.25, fill=fill)
    mask = scheme.draw(1, 32, 32, generator)
    filled = scheme.apply(batch, mask, generator)[0, 0]
    for y, x in mask.masked[0, 0].nonzero()[:50].tolist():
        rows = slice(max(0, y - reach), y + reach + 1)
        near = (..., rows, slice(max(0, x - reach), x + reach + 1))
        assert filled[y, x] in batch[near][~mask.masked[near]]


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


def test_a_cross_fill_is_the_mean_of_the_4_direct_neighbours():
    hidden = torch.zeros((1, 1, 3, 3), dtype=torch.bool)
    hidden[..., 1, 1] = True
    batch = torch.tensor([[1.0, 2, 3], [4, 100, 6], [7, 8, 15]])[None, None]
    scheme = GridMask(fill="cross")
    filled = scheme.apply(batch, Mask(hidden, torch.tensor([[4]])), luck())
    assert filled[0, 0, 1, 1].item() == pytest.approx((2 + 4 + 6 + 8) / 4)
    hidden[..., 0, 0] = True  # in a corner two are left
    filled = scheme.apply(batch, Mask(hidden, torch.tensor([[0, 4]])), luck())
    assert filled[0, 0, 0, 0].item() == pytest.approx((2 + 4) / 2)


# Neighbourhoods --------------------------------------------------------------------


@pytest.mark.parametrize("extent", [1, 3, 6, 32])
@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_line_hides_neighbours_within_its_extent(axis, extent):
    targets = torch.zeros((1, 1, 80, 81), dtype=torch.bool)
    targets[..., 40, 41] = True
    hidden = LineMask(axis=axis, extent=extent).masked_for(targets)[0, 0].nonzero()
    moved = torch.arange(-extent, extent + 1)
    along = {"x": (0 * moved, moved), "y": (moved, 0 * moved)}[axis]
    assert torch.equal(hidden, torch.stack(along, 1) + torch.tensor([40, 41]))


@pytest.mark.parametrize("axis", ["x", "y"])
def test_the_fill_of_a_line_excludes_the_correlated_axis(axis):
    """Noise that a line shares must not return through what fills it."""
    batch = torch.zeros((1, 1, 9, 9))
    row = batch if axis == "x" else batch.transpose(-1, -2)
    row[..., 4, 1:8] = 100.0
    targets = torch.zeros((1, 1, 9, 9), dtype=torch.bool)
    targets[..., 4, 4] = True
    scheme = LineMask(axis=axis, extent=3)
    mask = Mask(scheme.masked_for(targets), torch.tensor([[40]]))
    assert not scheme.apply(batch, mask, luck()).any()


def test_by_default_lines_hide_about_a_quarter():
    hidden = LineMask().draw(8, 96, 96, luck()).masked.float().mean()
    assert hidden.item() == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(
    "scheme",
    [LineMask(extent=32), LineMask(fraction=0.5), ShapeMask(footprint="31x31")],
    ids=repr,
)
def test_no_more_than_half_is_hidden_on_average(scheme):
    generator = luck()
    shares = [
        scheme.draw(4, 96, 96, generator).masked.float().mean() for _ in range(20)
    ]
    assert 0.2 < torch.stack(shares).mean() < 0.52


@pytest.mark.parametrize("footprint", FOOTPRINTS)
def test_a_shape_hides_its_footprint_around_each_target(footprint):
    scheme = ShapeMask(footprint=footprint)
    targets = torch.zeros((2, 1, 20, 23), dtype=torch.bool)
    targets[0, 0, 0, 3] = targets[0, 0, 9, 11] = targets[1, 0, 19, 22] = True
    expected = [ndimage.binary_dilation(t[0].numpy(), scheme.pixels) for t in targets]
    assert np.array_equal(scheme.masked_for(targets)[:, 0].numpy(), np.stack(expected))


def test_any_footprint_hides_what_a_dilation_would():
    rng = np.random.default_rng(0)
    for _ in range(20):
        painted = rng.random(rng.integers(1, 9, 2) * 2 + 1) < rng.uniform(0.1, 0.9)
        painted[painted.shape[0] // 2, painted.shape[1] // 2] = True
        text = "/".join("".join("01"[int(v)] for v in row) for row in painted)
        scheme, targets = ShapeMask(footprint=text), rng.random((30, 33)) < 0.02
        expected = ndimage.binary_dilation(targets, painted)
        hidden = scheme.masked_for(torch.from_numpy(targets)[None, None])
        assert np.array_equal(hidden[0, 0].numpy(), expected)


@pytest.mark.parametrize(
    ("footprint", "ways"),
    [
        ("5x5", 8),
        ("3x7", 4),
        ("010/111/010", 8),
        ("100/010/001", 4),
        ("110/111/000", 1),
        ("110/110/000", 2),
        ("000/110/000", 2),
    ],
)
def test_the_symmetries_of_a_footprint_are_found(footprint, ways):
    assert len(ShapeMask(footprint=footprint).orientations) == ways


def test_flips_alone_keep_a_line():
    flips = [(False, y, x) for y in (False, True) for x in (False, True)]
    assert list(LineMask().orientations) == flips


def test_lattices_are_as_wide_as_the_footprints():
    assert RandomMask().lattice == (3, 3)
    assert GridMask(spacing_min=2, spacing_max=2).lattice == (3, 3)
    assert GridMask(spacing_max=7).lattice == (7, 7)
    assert LineMask(extent=3).lattice == (3, 8)
    assert LineMask(extent=3, axis="y").lattice == (8, 3)
    assert ShapeMask(footprint="5x1").lattice == (6, 3)
    assert NoMask().lattice == (1, 1)


@pytest.mark.parametrize(
    ("footprint", "said"),
    [
        ("", "HEIGHTxWIDTH"),
        ("five", "HEIGHTxWIDTH"),
        ("5", "HEIGHTxWIDTH"),
        ("010/1x1/010", "HEIGHTxWIDTH"),
        ("010/11/010", "equally long"),
        ("4x5", "odd"),
        ("0x0", "odd"),
        ("11/11", "odd"),
        ("67x3", "65 px"),
        ("111/101/111", "centre"),
    ],
)
def test_a_footprint_that_cannot_be_is_refused(footprint, said):
    with pytest.raises(ValidationError, match=said):
        ShapeMask(footprint=footprint)


def test_what_is_painted_becomes_a_footprint():
    labels = np.zeros((40, 50), np.uint8)
    labels[10:13, 20:25] = 3
    assert ShapeMask.taken(labels) == ShapeMask(footprint="3x5")
    labels[11, 22] = 0  # the centre is predicted, painted or not
    assert footprint_text(labels) == "3x5"
    labels[10, 20] = 0
    assert footprint_text(labels > 0) == "01111/11111/11111"


def test_what_is_painted_gets_a_centre_by_odd_sides():
    labels = np.zeros((9, 9), bool)
    labels[3, 2:6] = labels[4, 2] = True
    assert footprint_text(labels) == "11110/10100/00000"
    assert footprint_text(np.ones((1, 1))) == "1x1"


@pytest.mark.parametrize(
    ("painted", "said"),
    [
        (np.zeros((9, 9)), "found 2 axes, 0 px"),
        (np.ones((3, 3, 3)), "two axes"),
        (np.ones((3, 66)), "3 x 66 px"),
    ],
)
def test_what_cannot_be_a_footprint_is_refused(painted, said):
    with pytest.raises(RequestError, match=said):
        ShapeMask.taken(painted)


def test_only_neighbourhoods_take_noise_to_be_shared():
    defaults = [member() for member in MEMBERS]
    shared = [type(scheme) for scheme in defaults if scheme.correlated]
    assert shared == [LineMask, BinMask, ShapeMask]
    assert [type(scheme) for scheme in defaults if not scheme.masks_pixels] == [NoMask]


def test_without_a_mask_every_pixel_is_a_target():
    mask = NoMask().draw(2, 4, 6, luck())
    values = torch.rand((2, 1, 4, 6), generator=luck())
    assert torch.equal(mask.gather(values), values.flatten(1))


@every_scheme
def test_json_round_trip_by_kind(scheme):
    adapter = TypeAdapter(Masking)
    assert adapter.validate_json(adapter.dump_json(scheme)) == scheme


def test_a_smallest_spacing_above_the_largest_is_refused():
    with pytest.raises(ValidationError, match="larger than the"):
        GridMask(spacing_min=6, spacing_max=4)
