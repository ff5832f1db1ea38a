"""Kinds of noise model compared by pixels that no fit has used, and notes of a file."""

import json

import numpy as np
import pytest

from napari_selfdenoise.cli import main
from napari_selfdenoise.errors import RequestError
from napari_selfdenoise.images import Image, write_image
from napari_selfdenoise.long_work import STOP
from napari_selfdenoise.noise.calibration import (
    calibrate,
    compare,
    compare_steps,
    fit,
)
from napari_selfdenoise.parts.noise_models import (
    GaussianMixtureNoise,
    PoissonGaussianNoise,
    load_noise_model,
    save_noise_model,
)

pytestmark = pytest.mark.slow

A, B = 8.0, -700.0


@pytest.fixture(autouse=True)
def _short_fits(monkeypatch):
    monkeypatch.setattr(fit, "_STEPS", 150)


def frames_of(shape):
    """Fifteen frames of a slope; noise of variance A s + B and of a shape."""
    rng = np.random.default_rng(0)
    scene = np.linspace(150, 900, 80) + np.zeros((80, 1))
    residual = shape(rng, (15, 80, 80))
    return Image(
        (scene + np.sqrt(A * scene + B) * residual).astype(np.float32), "TYX", name="it"
    )


def gaussian(rng, size):
    return rng.normal(size=size)


def skewed(rng, size):
    """Three Gaussians of mean 0 and variance 1 in all, as of an EMCCD."""
    weight, mean = np.array([0.6, 0.3, 0.1]), np.array([-0.55, 0.4, 2.1])
    std = np.array([0.4, 0.6, 0.8])
    which = rng.choice(3, size, p=weight)
    drawn = mean[which] + std[which] * rng.normal(size=size)
    return drawn / np.sqrt(weight @ (mean**2 + std**2))


def stepped(rng, size):
    """Seven narrow peaks: no few Gaussians are like that."""
    return (rng.integers(-3, 4, size) + 0.2 * rng.normal(size=size)) / np.sqrt(4.04)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (gaussian, "poisson_gaussian"),
        (skewed, "gaussian_mixture"),
        (stepped, "histogram"),
    ],
)
def test_the_true_kind_is_best(shape, kind):
    found = compare(frames_of(shape))
    assert found.best.kind == kind
    assert [row.kind for row in found.rows] == [
        "poisson_gaussian",
        "gaussian_mixture",
        "histogram",
    ]
    fewest = min(row.bits for row in found.rows)
    for row in found.rows:
        assert row.behind == pytest.approx(row.bits - fewest, abs=1e-9)
    assert 0.1 < found.held_out / (15 * 80 * 80) < 0.4
    signal = np.linspace(200, 850, 20)
    std = found.row(kind).fitted.curve.std_at(signal)
    np.testing.assert_allclose(std, np.sqrt(A * signal + B), rtol=0.06)


def test_of_equal_models_the_simpler_one_is_best_and_bic_charges_for_numbers():
    one = GaussianMixtureNoise(components=1)
    found = compare(frames_of(gaussian), (one, PoissonGaussianNoise()))
    row = found.row("gaussian_mixture")
    assert found.best.kind == "poisson_gaussian" and row.numbers == 2
    assert abs(row.bits - found.best.bits) < 0.002
    with pytest.raises(KeyError):
        found.row("histogram")


def test_a_comparison_ends_when_it_is_stopped():
    steps = compare_steps(frames_of(gaussian))
    share = next(steps)
    while share < 0.12:
        share = next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(STOP)
    assert end.value.value is None


def test_one_frame_cannot_be_compared():
    stack = frames_of(gaussian)
    with pytest.raises(RequestError, match="two or more frames"):
        compare(Image(stack.data[:1], "TYX"))


def test_equal_seeds_give_equal_comparisons():
    stack, kinds = frames_of(gaussian), (PoissonGaussianNoise(),)
    first, second, other = (compare(stack, kinds, seed=seed) for seed in (1, 1, 2))
    assert first.best.bits == second.best.bits != other.best.bits


# -- The verb --------------------------------------------------------------------------


def run(*words):
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return end.value.code


def test_the_verb_keeps_the_best_and_prints_the_comparison(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(fit, "_STEPS", 20)
    source = write_image(frames_of(gaussian), tmp_path / "slide.tif")
    words = ("calibrate", source, "--noise-model", tmp_path / "camera", "--compare")
    assert run(*words, "--camera", "Prime 95B", "--json") == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report["best"] == report["kind"] == "poisson_gaussian"
    assert set(report["comparison"]) == {
        "poisson_gaussian",
        "gaussian_mixture",
        "histogram",
    }
    assert "* poisson_gaussian" in printed.err
    kept = load_noise_model(tmp_path / "camera")
    assert kept.notes == {"camera": "Prime 95B"}


@pytest.mark.parametrize("more", [("--signal", "c.tif"), ("--bins", "64")])
def test_the_verb_compares_repeated_frames_alone(tmp_path, capsys, more):
    kind = ("--kind", "histogram") if "--bins" in more else ()
    words = ("calibrate", "a.tif", "--noise-model", tmp_path / "b", "--compare")
    assert run(*words, *kind, *more) != 0
    assert "--compare" in capsys.readouterr().err


# -- Notes -----------------------------------------------------------------------------


@pytest.fixture
def fitted():
    return calibrate(frames_of(gaussian), PoissonGaussianNoise())


def test_notes_survive_the_file(fitted, tmp_path):
    noted = fitted.noted(camera="  Prime 95B", date="2026-11-27", conditions="")
    path = save_noise_model(noted, tmp_path / "camera")
    assert load_noise_model(path).notes == {"camera": "Prime 95B", "date": "2026-11-27"}
    assert json.loads(path.read_text())["version"] == 1  # programs of before read it


def test_a_file_of_before_has_no_notes(fitted, tmp_path):
    path = save_noise_model(fitted, tmp_path / "camera")
    content = json.loads(path.read_text())
    del content["notes"]
    path.write_text(json.dumps(content))
    assert load_noise_model(path).notes == {}
