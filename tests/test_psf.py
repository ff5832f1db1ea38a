"""Truths of blur: kernels hold all light, and convolving does what optics does."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from scipy import ndimage, optimize, special

from napari_selfdenoise.config.files import read_bead
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image, write_image
from napari_selfdenoise.parts.psf import (
    PSF,
    GaussianPSF,
    MeasuredPSF,
    NoPSF,
    darkest_level,
    measure_psf,
)
from napari_selfdenoise.parts.psf.bead import bead_light
from napari_selfdenoise.parts.psf.forward_model import Convolution, negativity, positive
from napari_selfdenoise.parts.psf.kernels import airy_kernel
from napari_selfdenoise.parts.psf.models import OpticalPSF

PIXEL_UM = (0.065, 0.065)
ANY_PSF = TypeAdapter(PSF)


def luck(seed=0):
    return np.random.default_rng(seed)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def width(profile):
    """Standard deviation of a profile, in pixels."""
    place = np.arange(len(profile)) - len(profile) // 2
    return math.sqrt((profile * place**2).sum() / profile.sum())


def bead(sigma=1.5, side=61, shift=(0.37, -0.21), peak=2000.0, seed=0):
    """A camera's image of a Gaussian bead off the centre of a pixel."""
    place = np.arange(side) - side // 2
    fine = (np.arange(9) - 4) / 9  # integrates over each pixel
    y, x = (
        np.exp(-((place[:, None] + fine - s) ** 2) / (2 * sigma**2)).mean(1)
        for s in shift
    )
    random = luck(seed)
    photons = random.poisson(peak * np.outer(y, x) + 100)
    return photons + random.normal(0, 3, photons.shape)


@pytest.fixture
def members(tmp_path):
    file = str(tmp_path / "bead.tif")
    write_image(Image(bead().astype(np.float32), "YX"), file)
    made = [NoPSF(), GaussianPSF(), read_bead(MeasuredPSF(file=file)), OpticalPSF()]
    assert {type(m) for m in made} == set(get_args(get_args(PSF)[0]))
    return made


# Every member ------------------------------------------------------------------------


def test_kernels_are_odd_symmetric_and_keep_all_light(members):
    for psf in members:
        kernel = psf.kernel(PIXEL_UM)
        assert all(side % 2 for side in kernel.shape)
        assert kernel.sum() == pytest.approx(1)
        assert kernel.min() >= 0
        assert kernel.dtype == np.float64
        np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-12)
        assert kernel.max() == kernel[kernel.shape[0] // 2, kernel.shape[1] // 2]


def test_members_survive_json(members):
    for psf in members:
        assert ANY_PSF.validate_json(ANY_PSF.dump_json(psf)) == psf


def test_members_are_frozen_and_strict(members):
    for psf in members:
        with pytest.raises(ValidationError, match="frozen"):
            psf.kind = "other"
        with pytest.raises(ValidationError, match="Extra"):
            type(psf)(colour="red")


# Gaussian ----------------------------------------------------------------------------


def test_no_blur_is_one_pixel():
    assert NoPSF().kernel(None).tolist() == [[1.0]]


@pytest.mark.parametrize("sigma", [0.7, 1.0, 3.0])
def test_a_gaussian_has_its_width_and_that_of_the_pixel(sigma):
    profile = GaussianPSF(sigma=sigma).kernel().sum(0)
    assert width(profile) ** 2 == pytest.approx(sigma**2 + 1 / 12, rel=2e-2)


def test_a_very_narrow_gaussian_stays_in_its_pixel():
    assert GaussianPSF(sigma=0.05).kernel().max() == pytest.approx(1)


def test_physical_widths_are_pixels_times_their_size():
    in_pixels = GaussianPSF(sigma=2).kernel()
    for sigma, unit in ((0.13, "µm"), (130, "nm")):
        kernel = GaussianPSF(sigma=sigma, unit=unit).kernel(PIXEL_UM)
        np.testing.assert_allclose(kernel, in_pixels, atol=1e-12)


def test_pixels_need_not_be_square():
    kernel = GaussianPSF(sigma=0.2, unit="µm").kernel((0.2, 0.1))
    assert width(kernel.sum(1)) ** 2 == pytest.approx(1 + 1 / 12, rel=1e-2)
    assert width(kernel.sum(0)) ** 2 == pytest.approx(4 + 1 / 12, rel=1e-2)
    optical = OpticalPSF().kernel((0.13, 0.065))
    assert optical.shape[1] > 1.7 * optical.shape[0]


# Optics ------------------------------------------------------------------------------


def test_the_first_dark_ring_lies_where_airy_says():
    psf = OpticalPSF(numerical_aperture=0.8, wavelength_nm=500, refractive_index=1)
    kernel = psf.kernel((0.025, 0.025))
    middle = len(kernel) // 2
    profile = kernel[middle, middle:]
    dark = np.flatnonzero(np.diff(profile) > 0)[0] * 25
    assert dark == pytest.approx(0.61 * 500 / 0.8, abs=13)
    assert profile[dark // 25] < 1e-3 * profile[0]


def test_theory_gives_the_gaussian_nearest_to_the_airy_pattern():
    psf = OpticalPSF(numerical_aperture=1.2, wavelength_nm=600, pixel_size_nm=20)
    kernel = psf.kernel()
    y, x = np.indices(kernel.shape) - len(kernel) // 2

    def misfit(sigma):
        return kernel / kernel.max() - np.exp(-(y**2 + x**2) / (2 * sigma**2))

    (fit,) = optimize.least_squares(lambda s: misfit(s).ravel(), [5.0]).x
    # Zhang et al. 2007: 0.225 wavelength / numerical aperture.
    assert fit * 20 == pytest.approx(0.225 * 600 / 1.2, rel=0.08)


def test_given_pixels_come_before_those_of_the_image():
    given = OpticalPSF(pixel_size_nm=65).kernel((0.3, 0.3))
    np.testing.assert_array_equal(given, OpticalPSF().kernel(PIXEL_UM))


def test_a_confocal_is_narrower():
    wide, narrow = (OpticalPSF(confocal=c).kernel(PIXEL_UM).max() for c in (0, 1))
    assert narrow > 1.7 * wide


def test_large_pixels_catch_the_whole_pattern():
    kernel = OpticalPSF(pixel_size_nm=2000).kernel()
    assert kernel.shape == (3, 3)
    assert kernel.max() > 0.75


# Beads -------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [(0, 0), (0.37, -0.21), (-4.5, 7.5)])
def test_a_noisy_bead_off_the_centre_gives_the_true_kernel(shift):
    kernel = measure_psf(bead(sigma=1.5, shift=shift))
    true = GaussianPSF(sigma=1.5).kernel()
    margin = (len(true) - len(kernel)) // 2
    assert margin >= 0
    assert np.abs(np.pad(kernel, margin) - true).max() < 0.03 * true.max()
    assert width(kernel.sum(0)) == pytest.approx(width(true.sum(0)), rel=0.04)


def test_a_kernel_that_is_a_file_already_is_kept():
    airy = OpticalPSF(pixel_size_nm=65).kernel()
    kernel = measure_psf(airy, energy=1)
    margin = (len(airy) - len(kernel)) // 2
    assert np.abs(np.pad(kernel, margin) - airy).max() < 0.02 * airy.max()


def test_less_light_is_a_smaller_kernel():
    sides = [len(measure_psf(bead(), energy)) for energy in (0.6, 0.9, 0.995)]
    assert sides == sorted(set(sides))


def test_without_symmetry_coma_stays():
    comet = bead(shift=(0, 0)) + 0.4 * (bead(shift=(0, 3)) - 100)
    kernel = measure_psf(comet, symmetrise=False)
    assert np.abs(kernel - kernel[:, ::-1]).max() > 0.1 * kernel.max()
    symmetric = measure_psf(comet)
    np.testing.assert_allclose(symmetric, symmetric[:, ::-1])


def test_of_a_stack_the_plane_in_focus_is_taken(tmp_path):
    planes = [bead(sigma=s, peak=4500 / s**2) for s in (3, 1.5, 2)]
    stack = Image(np.array(planes, dtype=np.float32), "ZYX")
    write_image(stack, tmp_path / "bead.tif")
    kernel = read_bead(MeasuredPSF(file=str(tmp_path / "bead.tif"))).kernel()
    np.testing.assert_allclose(kernel, measure_psf(np.float32(planes[1])))


def test_a_bead_is_taken_with_the_settings_of_a_file():
    planes = np.array([bead(sigma=s, peak=4500 / s**2) for s in (3, 1.5, 2)])
    taken = MeasuredPSF.taken(planes)
    for settings in ({}, {"energy": 0.9}, {"symmetrise": False}):
        kernel = taken.model_copy(update=settings).kernel()
        np.testing.assert_allclose(
            kernel, measure_psf(planes[1], **settings), atol=1e-6
        )
    np.testing.assert_array_equal(
        MeasuredPSF.taken(planes[1]).kernel(PIXEL_UM), taken.kernel()
    )


def test_a_taken_bead_is_kept_in_files():
    taken = MeasuredPSF.taken(bead())
    again = ANY_PSF.validate_json(ANY_PSF.dump_json(taken))
    assert again == taken
    np.testing.assert_array_equal(again.kernel(), taken.kernel())


def test_a_file_comes_before_a_bead_that_was_taken(tmp_path):
    wide = bead(sigma=3).astype(np.float32)
    write_image(Image(wide, "YX"), tmp_path / "bead.tif")
    taken = MeasuredPSF.taken(bead())
    both = taken.model_copy(update={"file": str(tmp_path / "bead.tif")})
    kernel = read_bead(both).kernel()
    np.testing.assert_allclose(kernel, measure_psf(wide), rtol=1e-12)


@pytest.mark.parametrize(
    "values", [((1.0, 2.0),), ((1.0, 2.0), (3.0, 4.0)), ((math.nan,),), ((0.0,),)]
)
def test_what_is_no_light_of_a_bead_is_refused(values):
    with pytest.raises(ValidationError, match="light of a bead"):
        MeasuredPSF(values=values)


def several():
    two = bead(shift=(-12, -12))
    return two + bead(shift=(12, 10), peak=1500, seed=1)


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (np.full((40, 40), 7), "No bead"),
        (luck().normal(100, 5, (40, 40)), "No bead"),
        (bead(shift=(0, 29)), "cut off"),
        (bead(sigma=4, side=15), "cut off"),
        (several(), "more than one bead"),
        (np.full((40, 40), np.nan), "NaN"),
        (np.ones((3, 40, 40)), "one plane"),
    ],
)
def test_what_is_no_single_bead_is_refused(pixels, sentence):
    with pytest.raises(RequestError, match=sentence) as caught:
        measure_psf(pixels)
    assert caught.value.hint
    if np.ndim(pixels) == 2:
        with pytest.raises(RequestError, match=sentence):
            MeasuredPSF.taken(pixels)


# Requests that cannot be met ---------------------------------------------------------


@pytest.mark.parametrize("psf", [GaussianPSF(unit="nm"), OpticalPSF()], ids=repr)
def test_physical_units_need_a_pixel_size(psf):
    with pytest.raises(RequestError, match="pixel size of the image is not known"):
        psf.kernel(None)


@pytest.mark.parametrize(
    "psf", [GaussianPSF(sigma=17), OpticalPSF(pixel_size_nm=1)], ids=repr
)
def test_kernels_have_a_largest_size(psf):
    with pytest.raises(RequestError, match="largest possible is 64"):
        psf.kernel(None)


def test_an_aperture_cannot_exceed_its_immersion():
    with pytest.raises(ValidationError, match=r"aperture \(1.4\) must be below"):
        OpticalPSF(refractive_index=1.33)


def test_bead_files_must_be_there():
    with pytest.raises(RequestError, match="No bead image was chosen"):
        MeasuredPSF().kernel(None)
    with pytest.raises(RequestError, match="There is no file"):
        read_bead(MeasuredPSF(file="nowhere.tif"))
    with pytest.raises(RequestError, match="has not been read"):
        MeasuredPSF(file="nowhere.tif").kernel()


def test_beads_have_the_pixels_of_the_image(tmp_path):
    file = str(tmp_path / "bead.tif")
    pixels = bead().astype(np.float32)
    write_image(Image(pixels, "YX", (0.1, 0.1), ("µm", "µm")), file)
    psf = MeasuredPSF(file=file)
    kernel = read_bead(psf, (0.1, 0.1)).kernel()
    assert np.array_equal(kernel, read_bead(psf).kernel())
    np.testing.assert_allclose(kernel, measure_psf(pixels), rtol=1e-12)
    with pytest.raises(RequestError, match=r"0.1 × 0.1 µm, the image with 0.065"):
        read_bead(psf, PIXEL_UM)


# Convolution -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (9, 9), (3, 15), (41, 41)])
@pytest.mark.parametrize("plane", [(32, 32), (17, 50)])
def test_convolution_is_that_of_scipy(shape, plane):
    kernel = luck().random(shape)  # lopsided: a correlation would differ
    kernel /= kernel.sum()
    phantom = noise(3, 1, *plane)
    signal = Convolution(kernel)(phantom).numpy()
    for got, pixels in zip(signal[:, 0], phantom[:, 0].numpy(), strict=True):
        expected = ndimage.convolve(pixels.astype(float), kernel, mode="reflect")
        np.testing.assert_allclose(got, expected, atol=2e-6)


def test_without_blur_the_phantom_is_untouched():
    phantom = noise(1, 1, 8, 8)
    convolution = Convolution(NoPSF().kernel())
    assert convolution(phantom) is phantom
    assert convolution.radius == 0


def test_blur_of_an_even_plane_is_the_plane():
    plane = torch.full((1, 1, 20, 30), 3.0)
    blurred = Convolution(GaussianPSF(sigma=2).kernel())(plane)
    torch.testing.assert_close(blurred, plane)


def test_a_point_becomes_the_kernel():
    kernel = luck().random((5, 7))
    phantom = torch.zeros(1, 1, 15, 15)
    phantom[0, 0, 7, 7] = 1
    blurred = Convolution(kernel)(phantom)[0, 0, 5:10, 4:11]
    torch.testing.assert_close(blurred, torch.from_numpy(kernel).float())
    assert Convolution(kernel).radius == 3


def test_gradients_pass_through_the_blur():
    convolution = Convolution(luck().random((5, 3)))
    phantom = noise(1, 1, 7, 6).requires_grad_()
    weights = noise(1, 1, 7, 6, seed=1)
    (convolution(phantom) * weights).sum().backward()
    # The blur is linear: its gradient, applied to any phantom, is the blur of that.
    other = noise(1, 1, 7, 6, seed=2)
    expected = (convolution(other) * weights).sum()
    torch.testing.assert_close((phantom.grad * other).sum(), expected)


def test_the_blur_is_float32_under_autocast():
    convolution = Convolution(GaussianPSF().kernel())
    phantom = noise(1, 1, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(convolution(phantom), convolution(phantom))
        assert convolution(phantom.bfloat16()).dtype == torch.float32


def test_the_kernel_is_no_weight():
    assert not Convolution(GaussianPSF().kernel()).state_dict()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_blurs_alike():
    convolution = Convolution(OpticalPSF().kernel(PIXEL_UM))
    phantom = noise(2, 1, 40, 50)
    there = convolution.to("cuda")(phantom.cuda()).cpu()
    torch.testing.assert_close(there, convolution.cpu()(phantom), atol=1e-5, rtol=1e-5)


# Positivity --------------------------------------------------------------------------


def test_softplus_never_falls_below_the_background():
    output = torch.linspace(-1000, 1000, 4001).view(1, 1, 1, -1)
    phantom = positive(output, -0.5)
    assert (phantom >= -0.5).all()
    assert (phantom.diff() >= 0).all()
    bright = output > 0.5
    torch.testing.assert_close(phantom[bright], output[bright], atol=1e-5, rtol=0)


def test_softplus_still_learns_a_little_below_the_background():
    output = torch.tensor([-0.5, 0.0, 0.5, 2.0], requires_grad=True)
    positive(output, 0.0).sum().backward()
    assert output.grad[0] > 5e-3
    assert output.grad[1] == pytest.approx(0.5)
    assert output.grad[3] == pytest.approx(1)


@pytest.mark.parametrize("mode", ["penalty", "none"])
def test_other_modes_leave_the_output(mode):
    output = noise(1, 1, 4, 4)
    assert positive(output, 0.0, mode) is output


def test_the_penalty_is_the_mean_depth():
    phantom = torch.tensor([-3.0, -1.0, 0.0, 5.0], requires_grad=True)
    penalty = negativity(phantom, torch.tensor(-1.0))
    assert penalty.item() == pytest.approx(0.5)
    penalty.backward()
    assert phantom.grad.tolist()[0] == -0.25
    assert phantom.grad.tolist()[2:] == [0, 0]


def test_the_darkest_level_is_a_little_below_the_background():
    random = luck()
    planes = [random.poisson(100, (64, 80)).astype(np.uint16) for _ in range(2)]
    planes[1][20:40, 20:40] += 500
    assert 92 < darkest_level(planes) < 100
    planes[0][10, 10] = 0  # a dead pixel
    assert darkest_level(planes) > 92


def test_the_darkest_level_of_an_even_plane_is_its_value():
    assert darkest_level([np.full((4, 9), 7, np.uint8)]) == 7


@pytest.mark.parametrize("size_v", [1.0, 2.0, 3.0])
def test_a_pixel_of_the_airy_pattern_holds_the_light_that_falls_on_it(size_v):
    """Not that in its centre: where pixels are large, a ring has room within one."""
    place = (np.arange(41) + 0.5) / 41 - 0.5

    def light(row, column):
        v = np.hypot((row + place)[:, None], column + place) * size_v
        return ((2 * special.j1(v) / v) ** 2).mean()

    kernel = airy_kernel(size_v, size_v, confocal=False)
    centre = len(kernel) // 2
    # The middle one of an odd number of places is at v = 0: there the limit is 1.
    with np.errstate(invalid="ignore"):
        middle = np.hypot(place[:, None], place) * size_v
        whole = np.where(middle > 0, (2 * special.j1(middle) / middle) ** 2, 1).mean()
    for row, column in ((0, 1), (1, 1), (0, 2)):
        found = kernel[centre + row, centre + column] / kernel[centre, centre]
        assert found == pytest.approx(light(row, column) / whole, abs=1e-3)


def bead_on(background):
    """A bead of width 1.5 px; without noise within 12 px, so that its light is known.

    Returns the image, and the bead's light.
    """
    edges = np.arange(-30.5, 31) / (math.sqrt(2) * 1.5)
    profile = np.diff(special.erf(edges)) / 2  # of each pixel, sum 1
    y, x = np.indices(background.shape) - 30
    light = 1000 * 2 * math.pi * 1.5**2  # height 1000
    even = np.where(np.hypot(y, x) <= 12, 100, background)
    return even + light * np.outer(profile, profile), light


def test_what_lies_next_to_a_bead_is_no_background():
    """A faint structure there, 8 times the noise, would take 5 % of the light."""
    background = luck().normal(100, 10, (61, 61))
    background[4:14, 4:40] += 80
    pixels, light = bead_on(background)
    assert bead_light(pixels).sum() == pytest.approx(light, rel=0.012)


def test_the_background_of_a_bead_is_that_of_all_dark_pixels():
    """The border alone, too bright by 4 as by chance, would take 3 % of the light."""
    background = luck().normal(104, 10, (61, 61))
    background[1:-1, 1:-1] -= 4
    pixels, light = bead_on(background)
    assert bead_light(pixels).sum() == pytest.approx(light, rel=0.012)
