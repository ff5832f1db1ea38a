import numpy as np
import pytest

from napari_selfdenoise import Image, RequestError
from napari_selfdenoise.evaluation import evaluate, psnr, ssim

RNG = np.random.default_rng(0)
CLEAN = RNG.random((3, 32, 32)).astype(np.float32)
NOISY = CLEAN + 0.1 * RNG.normal(size=CLEAN.shape).astype(np.float32)


def test_every_plane_is_measured_and_their_mean_given():
    found = evaluate(Image(NOISY, "TYX"), Image(CLEAN, "TYX"), 1.0)
    expected = [psnr(n, c, 1.0) for n, c in zip(NOISY, CLEAN, strict=True)]
    assert found["images"]["psnr"] == pytest.approx(expected)
    assert found["psnr"] == pytest.approx(np.mean(expected))
    assert found["images"]["ssim"][1] == pytest.approx(ssim(NOISY[1], CLEAN[1], 1.0))
    assert found["psnr_scale_invariant"] > 15


@pytest.mark.parametrize("swap", [False, True])
def test_one_plane_is_compared_with_every_plane_of_the_other(swap):
    one, many = Image(CLEAN[0], "YX"), Image(NOISY, "TYX")
    found = evaluate(*((one, many) if swap else (many, one)))
    assert len(found["images"]["psnr"]) == 3


def test_without_a_range_that_of_the_reference_is_taken():
    found = evaluate(Image(NOISY[0], "YX"), Image(CLEAN[0], "YX"))
    assert found["psnr"] == pytest.approx(psnr(NOISY[0], CLEAN[0], np.ptp(CLEAN[0])))


def test_the_order_of_the_axes_does_not_matter():
    turned = Image(CLEAN.transpose(2, 0, 1), "XTY")
    assert evaluate(turned, Image(CLEAN, "TYX"))["ssim"] == pytest.approx(1)


def test_different_numbers_of_planes_are_refused():
    with pytest.raises(RequestError, match="3 planes and the reference 2"):
        evaluate(Image(NOISY, "TYX"), Image(CLEAN[:2], "TYX"))


@pytest.mark.parametrize("bad", [np.full((32, 32), np.nan), np.zeros((16, 32))])
def test_planes_that_cannot_be_compared_are_refused(bad):
    with pytest.raises(RequestError):
        evaluate(Image(bad, "YX"), Image(CLEAN[0], "YX"))
