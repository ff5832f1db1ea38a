"""selfdenoise inspect prints and writes what noise models say."""

import csv
import json
from pathlib import Path

import pytest

from napari_selfdenoise import NoiseCurve
from napari_selfdenoise.cli import main
from napari_selfdenoise.parts.noise_models import (
    FittedNoise,
    PoissonGaussianNoise,
    save_noise_model,
)

GAIN, DARK, READ = 4.0, 100.0, 36.0


@pytest.fixture
def file(tmp_path):
    line = GAIN, READ - GAIN * DARK
    curve = NoiseCurve.line(*line, DARK, 500)
    fitted = FittedNoise(
        "poisson_gaussian", PoissonGaussianNoise(), curve, (DARK, 500), line, 7.0
    )
    return str(save_noise_model(fitted, tmp_path / "camera"))


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["inspect", *arguments])
    return end.value.code, capsys.readouterr().out


def test_what_is_printed(file, capsys):
    status, text = run(capsys, file)
    assert status == 0
    assert "camera (poisson gaussian), in grey values" in text
    assert "gain: 4 grey values per photo-electron" in text
    assert "300         28.91" in text  # sqrt(4 * 200 + 36)


def test_figures_as_json_and_csv(file, capsys, tmp_path):
    target = tmp_path / "figures.csv"
    options = ["--signal", "300", "--csv", str(target), "--json"]
    status, text = run(capsys, file, "tests/data/fast.safetensors", *options)
    assert status == 0
    camera, learned = json.loads(text)["models"]
    assert camera["at"]["std"][-1] == pytest.approx(28.91, abs=0.01)
    assert camera["measured"] == [DARK, 500] and not camera["has_measurement"]
    assert learned["name"] == "fast" and learned["figures"]["std"]["y"]
    with target.open() as rows:
        table = list(csv.DictReader(rows))
    assert {row["model"] for row in table} == {"camera", "fast"}
    density = [r for r in table if (r["model"], r["figure"]) == ("camera", "density")]
    peak = max(density, key=lambda row: float(row["y"]))
    assert float(peak["x"]) == pytest.approx(300)


def test_electrons(file, capsys):
    status, text = run(capsys, file, "--electrons", "--offset", "100", "--json")
    (found,) = json.loads(text)["models"]
    assert status == 0 and found["unit"] == "electrons"
    assert found["measured"] == [0, 100]
    assert found["at"]["std"][0] == pytest.approx((READ / GAIN**2) ** 0.5)


def test_a_file_that_is_none_is_refused(capsys, tmp_path):
    assert run(capsys, str(tmp_path / "gone.noise.json"))[0] == 2


def test_what_cannot_be_shown_is_refused(file, capsys):
    """A noise model is not replaced by its own table."""
    before = Path(file).read_bytes()
    wrong = (
        ["--csv", file],
        ["--signal", "nan"],
        ["--electrons", "--offset", "inf"],
        ["--offset", "100"],
    )
    assert [run(capsys, file, *options)[0] for options in wrong] == [2] * len(wrong)
    assert Path(file).read_bytes() == before
