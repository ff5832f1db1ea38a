import json
import os
import re
import signal
import subprocess
import sys
import typing

import mrcfile
import numpy as np
import pytest
import tifffile
import zarr
from pydantic import BaseModel

from napari_selfdenoise import (
    Image,
    TrainingConfig,
    cli,
    load_model,
    read_image,
    save_model,
    write_image,
)
from napari_selfdenoise.cli import runs, screen
from napari_selfdenoise.noise.calibration import fit_noise
from napari_selfdenoise.parts.noise_models import (
    GaussianMixtureNoise,
    NoiseCurve,
    NoiseFromFile,
    NoiseNetwork,
    PoissonGaussianNoise,
    save_noise_model,
)
from napari_selfdenoise.training import training_run as training
from napari_selfdenoise.training.recovery import Recovery

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("brief_fits")]

QUICK = [
    *(
        "--steps",
        "3",
        "--network.width",
        "4",
        "--patch-size",
        "16",
        "--batch-size",
        "2",
    ),
    *("--device", "cpu", "--precision", "float32", "--no-flips"),
]
CURVE = {"signal", "std"}


class Answer(typing.NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)  # one object and nothing else


@pytest.fixture
def selfdenoise(capsys):
    """Run the command line in this process."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.main([str(a) for a in arguments])
        return Answer(end.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def folder(tmp_path, scene, model):
    """A folder with noisy.tif, stack.tif (3 frames) and model.safetensors."""
    write_image(scene.image, tmp_path / "noisy.tif")
    stack = np.stack([scene.image.data[i : i + 32, :48] for i in range(3)])
    write_image(Image(stack, "TYX"), tmp_path / "stack.tif")
    save_model(model, tmp_path / "model")
    return tmp_path


def test_denoise_writes_its_outputs_and_reports(folder, selfdenoise):
    answer = selfdenoise(
        *("denoise", folder / "noisy.tif", folder / "out.tif", "--json", *QUICK),
        *("--outputs", "denoised,noise-std", "--save-model", folder / "new"),
    )
    assert answer.status == 0
    report = answer.json
    assert {"seconds", "estimator", "warnings"} <= report.keys()
    assert report["steps"] == 3
    assert report["device"] == "cpu"
    assert report["precision"] == "float32"
    assert report["seed"] == 0
    assert report["recipe"] == "fast"
    assert report["poisson_gaussian"] is None
    assert report["noise_curve"].keys() == CURVE
    assert report["outputs"].keys() == {"denoised", "noise-std"}
    for path in report["outputs"].values():
        written = read_image(path)
        assert written.shape == (64, 64)
        assert written.dtype == np.float32
        assert np.isfinite(written.data).all()
    assert report["outputs"]["denoised"] == str(folder / "out.tif")
    kept = load_model(report["model"])
    assert kept.noise_curves[0].std.tolist() == report["noise_curve"]["std"]


def test_steps_and_a_budget_end_with_whichever_is_first(folder, selfdenoise):
    answer = selfdenoise(
        *("denoise", folder / "noisy.tif", folder / "out.tif", "--json", *QUICK),
        *("--budget", "1h"),
    )
    assert answer.json["steps"] == 3


def test_every_output_is_written(folder, selfdenoise):
    names = ("denoised", "noise-std", "deconvolved", "posterior-std", "trust")
    answer = selfdenoise(
        *("denoise", folder / "noisy.tif", folder / "out.tif", "--json", *QUICK),
        *("--signal", "mixture", "--psf", "gaussian", "--psf.sigma", "0.8"),
        *("--estimator", "posterior_samples", "--estimator.samples", "3"),
        *("--outputs", ",".join((*names, "posterior-samples"))),
        *("--save-model", folder / "new"),
    )
    assert answer.status == 0, answer.err
    paths = answer.json["outputs"]
    shape = read_image(folder / "noisy.tif").shape
    assert all(read_image(paths[name]).shape == shape for name in names)
    assert read_image(paths["posterior-samples"]).shape == (3, *shape)
    # Another estimator for the same model, without training.
    again = selfdenoise(
        *("predict", folder / "new.safetensors", folder / "noisy.tif"),
        *(folder / "again.tif", "--estimator", "blind_mean", "--json"),
    )
    blind, fused = (
        read_image(path).data for path in (folder / "again.tif", paths["denoised"])
    )
    assert again.status == 0
    assert not np.array_equal(blind, fused)


def test_a_calibrated_camera_denoises(folder, selfdenoise):
    rng = np.random.default_rng(0)
    scene = np.linspace(1000, 4000, 64 * 64).reshape(64, 64)
    frames = scene + np.sqrt(2 * scene) * rng.standard_normal((20, 64, 64))
    write_image(Image(frames.round().astype(np.uint16), "TYX"), folder / "repeats.tif")
    answer = selfdenoise(
        *("calibrate", folder / "repeats.tif", "--noise-model", folder / "camera"),
        *("--kind", "poisson_gaussian", "--json"),
    )
    assert answer.status == 0, answer.err
    report = answer.json
    assert report["kind"] == "poisson_gaussian"
    assert report["bits_per_pixel"] > 0
    line = report["poisson_gaussian"]
    assert line["a"] * 2500 + line["b"] == pytest.approx(5000, rel=0.05)
    answer = selfdenoise(
        *("denoise", folder / "noisy.tif", folder / "out.tif", "--json", *QUICK),
        *("--noise-model", "file", "--noise-model.file", report["noise_model"]),
        *("--objective", "likelihood", "--signal", "gaussian"),
    )
    assert answer.status == 0, answer.err
    assert any("was made from" in text for text in answer.json["warnings"])


def test_without_json_the_report_is_for_reading(folder, selfdenoise):
    answer = selfdenoise("denoise", folder / "noisy.tif", folder / "out.tif", *QUICK)
    assert answer.status == 0
    assert "steps: 3" in answer.out
    assert "one image of 64 × 64 px" in answer.err


def test_denoise_takes_one_frame_of_a_stack(folder, selfdenoise):
    out = folder / "out.tif"
    answer = selfdenoise("denoise", folder / "stack.tif", out, "--frame", 1, *QUICK)
    assert answer.status == 0
    assert read_image(out).shape == (32, 48)


def test_a_fitted_line_is_reported(folder, selfdenoise):
    answer = selfdenoise(
        *("train", folder / "noisy.tif", "--model", folder / "m", "--json", *QUICK),
        *("--noise-model", "poisson_gaussian"),
    )
    assert answer.json["poisson_gaussian"].keys() == {"a", "b"}
    assert answer.json["outputs"] == {}


def test_train_learns_from_several_images(folder, selfdenoise):
    answer = selfdenoise(
        *("train", folder / "noisy.tif", folder / "stack.tif", "--json"),
        *("--model", folder / "both", *QUICK),
    )
    assert answer.status == 0
    assert len(load_model(answer.json["model"]).provenance["images"]) == 2


def test_train_resumes(folder, selfdenoise, model):
    arguments = ["train", folder / "noisy.tif", "--json", "--resume", "--device", "cpu"]
    settings = ["--steps", 1, "--learning-rate", 1e-12]  # the rest from the model
    path = folder / "model.safetensors"
    answer = selfdenoise(*arguments, "--model", path, *settings)
    assert answer.status == 0
    pairs = zip(
        load_model(path).channels[0].network.parameters(),
        model.channels[0].network.parameters(),
        strict=True,
    )
    assert all(np.allclose(a.detach(), b.detach(), atol=1e-6) for a, b in pairs)


def test_predict_denoises_several_inputs_into_a_folder(folder, selfdenoise):
    results = folder / "results"
    results.mkdir()
    answer = selfdenoise(
        *("predict", folder / "model.safetensors", folder / "noisy.tif"),
        *(folder / "stack.tif", results, "--json", "--device", "cpu"),
    )
    assert answer.status == 0
    report = answer.json
    assert {"seconds", "tiles", "peak_memory_bytes", "warnings"} <= report.keys()
    assert report["tiles"] == 4
    paths = report["outputs"]["denoised"]
    assert [read_image(path).shape for path in paths] == [(64, 64), (3, 32, 48)]
    assert sorted(map(str, results.iterdir())) == sorted(paths)


def test_predict_overwrites_no_output_with_another(folder, selfdenoise, scene):
    inputs = [folder / "run.1.tif", folder / "run.2.tif"]
    for path in inputs:
        write_image(scene.image, path)
    results = folder / "results"
    results.mkdir()
    selfdenoise("predict", folder / "model.safetensors", *inputs, results)
    assert len(list(results.iterdir())) == 2


def test_inputs_of_one_name_are_refused(folder, selfdenoise, scene):
    inputs = [folder / name / "x.tif" for name in ("one", "two", "results")]
    for path in inputs:
        path.parent.mkdir()
    for path in inputs[:2]:
        write_image(scene.image, path)
    results = inputs[2].parent
    answer = selfdenoise("predict", folder / "model.safetensors", *inputs[:2], results)
    assert answer.status == 2
    assert "same name" in answer.err
    assert not list(results.iterdir())


def test_predict_takes_one_frame_and_a_limit_of_memory(folder, selfdenoise):
    model, out = folder / "model.safetensors", folder / "out.tif"
    answer = selfdenoise(
        *("predict", model, folder / "stack.tif", out, "--frame", 2, "--json"),
        *("--max-memory", "1GB", "--outputs", "noise-std", "--device", "cpu"),
    )
    assert answer.status == 0
    path = answer.json["outputs"]["noise-std"]
    assert read_image(path).shape == (32, 48)
    assert not out.exists()  # the denoised image was not asked for


def test_predict_does_what_python_does(folder, selfdenoise, scene, model):
    from napari_selfdenoise import denoise

    out = folder / "out.tif"
    selfdenoise("predict", folder / "model.safetensors", folder / "noisy.tif", out)
    expected = denoise(scene.image, model).denoised.data
    assert np.array_equal(read_image(out).data, expected)


def test_evaluate_lists_each_image_and_their_mean(folder, selfdenoise):
    noisy, stack = folder / "noisy.tif", folder / "stack.tif"
    report = selfdenoise("evaluate", stack, stack, "--range", 255, "--json").json
    assert report["psnr"] is None  # equal images: infinite, which JSON cannot say
    assert report["images"]["psnr"] == [None] * 3
    assert report["ssim"] == pytest.approx(1)
    one = selfdenoise("evaluate", stack, stack, "--frame", 1, "--json").json
    assert len(one["images"]["ssim"]) == 1
    wrong = selfdenoise("evaluate", noisy, noisy, "--frame", 1, "--json")
    assert wrong.status == 2
    assert "neither side is a stack" in wrong.json["error"]


def test_doctor_says_what_there_is(selfdenoise):
    answer = selfdenoise("doctor", "--json")
    assert answer.status == 0
    assert {"versions", "devices", "threads", "warnings"} <= answer.json.keys()
    assert "torch" in answer.json["versions"]


def fields(model, prefix=""):
    """Dotted name of every field of a config, of each member of its unions."""
    for name, field in model.model_fields.items():
        parts = typing.get_args(field.annotation) or (field.annotation,)
        models = [p for p in parts if isinstance(p, type) and issubclass(p, BaseModel)]
        if name == "kind" or (field.json_schema_extra or {}).get("hidden"):
            continue
        if len(models) != 1:
            yield prefix + name
        for member in models:
            yield from fields(member, f"{prefix}{name}.")


@pytest.mark.parametrize("verb", ["denoise", "train"])
def test_every_setting_has_a_flag(verb, selfdenoise):
    words = selfdenoise(verb, "--help").out.replace(",", " ").replace("/", " ").split()
    names = set(fields(TrainingConfig)) - {"budget_s"} | {"budget"}
    assert len(names) > 20
    assert {f"--{name.replace('_', '-')}" for name in names} <= set(words)


def bounds(model, name):
    """Least and greatest value of a field."""
    field = model.model_fields[name].metadata
    return tuple(
        next(getattr(m, b) for m in field if hasattr(m, b)) for b in ("ge", "le")
    )


@pytest.mark.parametrize(
    ("verb", "flag"),
    [("calibrate", "--components"), ("train", "--noise-model.components")],
)
def test_a_flag_that_kinds_share_says_the_bounds_of_each(verb, flag, selfdenoise):
    words = " ".join(selfdenoise(verb, "--help").out.split())
    said = words.split(f"{flag} TEXT ")[1].split(" --")[0]
    for member in (GaussianMixtureNoise, NoiseNetwork):
        low, high = bounds(member, "components")
        kind = member.model_fields["kind"].default
        assert f"[from {low} to {high}]" in said.split(f"{kind}: ")[1], kind


@pytest.mark.parametrize(
    ("masking", "fill"), [("random", "median"), ("grid", "cross"), ("grid", "gaussian")]
)
def test_a_flag_that_kinds_share_takes_the_choices_of_each(
    masking, fill, folder, selfdenoise
):
    choice = ("--masking", masking, "--masking.fill", fill)
    assert trained(selfdenoise, folder, *choice, *QUICK).masking.fill == fill


def trained(selfdenoise, folder, *arguments):
    source, target = folder / "noisy.tif", folder / "m"
    answer = selfdenoise("train", source, "--model", target, "--json", *arguments)
    assert answer.status == 0, answer.err
    return load_model(answer.json["model"]).config


def test_flags_win_over_the_config_file_and_it_over_the_recipe(folder, selfdenoise):
    settings = {
        "recipe": "n2v",
        "seed": 5,
        "steps": 2,
        "patch_size": 32,
        "network": {"width": 4},
        "masking": {"kind": "grid", "spacing_min": 7, "spacing_max": 9},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    config = trained(
        selfdenoise, folder, "--config", folder / "settings.json", "--seed", 6
    )
    assert config.recipe == "n2v"
    assert config.noise_model.kind == "unmodelled"  # from the recipe
    assert config.masking.spacing_max == 9
    assert config.network.width == 4
    assert config.seed == 6


def test_the_config_of_a_model_can_be_given_back(folder, selfdenoise, config):
    decided = {"masking": "random", "objective": "squared_error"}
    expected = config.override(decided | {"steps": 1})
    (folder / "settings.json").write_text(expected.model_dump_json())
    arguments = ("--config", folder / "settings.json", "--steps", 1)
    assert trained(selfdenoise, folder, *arguments) == expected


@pytest.fixture
def camera(tmp_path):
    """A noise model file, for signals from 50 to 700."""
    rng = np.random.default_rng(0)
    signal = rng.uniform(50, 700, 30_000)
    observed = signal + np.sqrt(2 * signal + 200) * rng.normal(size=signal.shape)
    fitted = fit_noise(PoissonGaussianNoise(), signal, observed)
    return save_noise_model(fitted, tmp_path / "camera")


def test_the_config_of_a_run_with_a_noise_model_file_can_be_given_back(
    folder, selfdenoise, camera
):
    noise = ("--noise-model", "file", "--noise-model.file", camera)
    first = trained(selfdenoise, folder, *noise, *QUICK)
    assert first.noise_model.file == camera
    (folder / "settings.json").write_text(first.model_dump_json())
    again = trained(selfdenoise, folder, "--config", folder / "settings.json")
    assert again == first


def test_a_noise_curve_in_a_config_stays_whole(folder, selfdenoise, config):
    curve = NoiseCurve.line(2.0, 200.0, 50, 700).to_json()
    noise = NoiseFromFile.taken(curve).model_dump()
    decided = {"masking": "random", "objective": "squared_error"}
    expected = config.override(decided | {"noise_model": noise, "steps": 1})
    (folder / "settings.json").write_text(expected.model_dump_json())
    arguments = ("--config", folder / "settings.json", "--steps", 1)
    again = trained(selfdenoise, folder, *arguments)
    assert again.model_dump(mode="json") == expected.model_dump(mode="json")


def test_a_recipe_flag_wins_over_the_recipe_of_the_config_file(folder, selfdenoise):
    (folder / "settings.json").write_text('{"recipe": "ollion", "steps": 1}')
    arguments = ("--config", folder / "settings.json", "--recipe", "n2v", *QUICK)
    assert trained(selfdenoise, folder, *arguments).recipe == "n2v"


def test_switches_can_be_turned_off(folder, selfdenoise):
    assert QUICK[-1] == "--no-flips"
    config = trained(selfdenoise, folder, "--no-augment", *QUICK)
    assert not config.flips
    assert not config.augment


WRONG = [
    (["denoise", "noisy.tif", "out.tif", "--budget", "0"], "leaves no time to learn"),
    (["denoise", "missing.tif", "out.tif", *QUICK], "missing.tif"),
    (["denoise", "junk.tif", "out.tif", *QUICK], "junk.tif"),
    (["denoise", "noisy.tif", "out.png", *QUICK], "no TIFF file name"),
    (["denoise", "noisy.tif", "no/out.tif", *QUICK], "folder no is not there"),
    (
        ["denoise", "noisy.tif", "out.tif", "--save-model", "no/m", *QUICK],
        "folder no is not there",
    ),
    (["train", "noisy.tif", "--model", "no/m", *QUICK], "folder no is not there"),
    (["denoise", "noisy.tif", "out.tif", "--outputs", "beauty"], "no output called"),
    (
        ["denoise", "noisy.tif", "out.tif", "--frame", "0", *QUICK],
        "There is no frame 0",
    ),
    (["denoise", "stack.tif", "out.tif", "--frame", "9", *QUICK], "there are 3"),
    (["denoise", "noisy.tif", "out.tif", "--masking.fraction", "7"], "masking"),
    (["denoise", "noisy.tif", "out.tif", "--masking", "stripes"], "stripes"),
    (["denoise", "noisy.tif", "out.tif", "--masking.fill", "cross"], "masking.fill"),
    (["denoise", "noisy.tif", "out.tif", "--recipe", "slow"], "slow"),
    (["denoise", "noisy.tif", "out.tif", "--config", "no.json"], "no.json"),
    (["denoise", "noisy.tif", "out.tif", "--config", "junk.tif"], "junk.tif"),
    (["denoise", "noisy.tif", "out.tif", "--device", "cuda:99"], "cuda:99"),
    (
        ["denoise", "noisy.tif", "out.tif", "--outputs", "deconvolved", *QUICK],
        "no deconvolved",
    ),
    (
        ["predict", "model", "noisy.tif", "out.tif", "--outputs", "posterior-std"],
        "no posterior-std",
    ),
    (
        ["predict", "model", "noisy.tif", "out.tif", "--estimator", "posterior_mean"],
        "how sure the network is",
    ),
    (["denoise", "noisy.tif", "out.tif", "--masking", "none"], "learns to copy"),
    (["calibrate", "noisy.tif", "--noise-model", "camera"], "two or more frames"),
    (
        ["calibrate", "stack.tif", "--noise-model", "camera", "--bins", "9"],
        "bins",
    ),
    (["denoise", "rgb.tif", "out.tif", *QUICK], "RGB"),
    (["denoise", "noisy.tif"], "output is missing"),
    (["train", "noisy.tif", "--model", "none", "--resume"], "no model file"),
    (["predict", "none", "noisy.tif", "out.tif"], "There is no model file none"),
    (["predict", "noisy.tif", "noisy.tif", "out.tif"], "is not a model"),
    (["predict", "model.safetensors", "noisy.tif"], "output is missing"),
    (
        ["predict", "model.safetensors", "noisy.tif", "stack.tif", "out.tif"],
        "is no folder",
    ),
    (
        ["predict", "model.safetensors", "noisy.tif", "o.tif", "--max-memory", "much"],
        "no amount of memory",
    ),
    (["evaluate", "noisy.tif", "stack.tif"], ""),
    (["beautify", "noisy.tif"], "beautify"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=lambda a: " ".join(a)[:60])
def test_a_wrong_request_ends_with_status_2_and_a_sentence(
    arguments, words, folder, selfdenoise, monkeypatch
):
    monkeypatch.chdir(folder)
    (folder / "junk.tif").write_bytes(b"junk")
    rgb = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    write_image(Image(rgb, "YXS"), "rgb.tif")
    before = set(folder.iterdir())
    answer = selfdenoise(*arguments, "--json")
    assert answer.status == 2
    assert words in answer.json["error"]
    assert answer.json.keys() == {"error", "hint"}
    assert answer.json["error"] in answer.err
    assert "Traceback" not in answer.err
    assert set(folder.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "noisy.tif", "--model", "m", "--masking.fraction", "7"],
        ["predict", "model.safetensors", "noisy.tif", "o.tif", "--estimator.samples=0"],
        ["calibrate", "stack.tif", "--noise-model", "camera", "--bins", "9"],
    ],
)
def test_a_refused_setting_names_the_help_of_its_verb(
    arguments, folder, selfdenoise, monkeypatch
):
    monkeypatch.chdir(folder)
    hint = selfdenoise(*arguments, "--json").json["hint"]
    assert f"`selfdenoise {arguments[0]} --help`" in hint


def test_what_would_fail_after_the_training_is_refused_before(
    folder, selfdenoise, monkeypatch
):
    def too_late(*_, **__):
        raise AssertionError("the training was started")

    monkeypatch.setattr(training, "train_steps", too_late)
    noisy = folder / "noisy.tif"
    for target in (folder / "no" / "out.tif", folder / "out.png"):
        assert selfdenoise("denoise", noisy, target, *QUICK).status == 2


def test_a_run_that_fails_ends_with_status_1_and_a_sentence(
    folder, selfdenoise, monkeypatch
):
    monkeypatch.setattr(Recovery, "rescued", diverged)
    answer = selfdenoise(
        "denoise", folder / "noisy.tif", folder / "out.tif", "--json", *QUICK
    )
    assert answer.status == 1
    assert answer.json == {"error": "It diverged.", "hint": "Try again."}
    assert not (folder / "out.tif").exists()


def diverged(recovery, average):
    from napari_selfdenoise import DenoisingError

    raise DenoisingError("It diverged.", "Try again.")


EARLY = """
import os, runpy, signal, sys

class Interrupter:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupter())
sys.argv = ["selfdenoise", "doctor", "--json"]
runpy.run_module("napari_selfdenoise", run_name="__main__")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("module", ["napari_selfdenoise.cli", "numpy", "torch"])
def test_ctrl_c_while_it_starts_is_one_line(module):
    code = EARLY.format(module=module)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 130
    assert ended.stderr == "Error: Stopped.\n"
    assert json.loads(ended.stdout) == {"error": "Stopped.", "hint": ""}


def listen(monkeypatch, listener):
    """Give all that is said to a listener."""
    monkeypatch.setattr(runs, "say", listener)
    monkeypatch.setattr(screen, "say", listener)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_keeps_what_was_learned(folder, selfdenoise, monkeypatch):
    said = []

    def interrupt_once(line):
        if line.startswith("Learning"):
            os.kill(os.getpid(), signal.SIGINT)
        said.append(line)

    listen(monkeypatch, interrupt_once)
    monkeypatch.setattr(screen, "_LINE_S", 0)
    before = signal.getsignal(signal.SIGINT)
    out = folder / "out.tif"
    endless = [*QUICK[2:], "--budget", "until I stop"]
    answer = selfdenoise("denoise", folder / "noisy.tif", out, "--json", *endless)
    assert answer.status == 0
    assert any("keeping what was learned" in line for line in said)
    assert read_image(out).shape == (64, 64)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_keeps_what_is_denoised(folder, selfdenoise, monkeypatch):
    """The rest is NaN, and it is said how much is there."""
    out = folder / "out.tif"
    monkeypatch.setattr(screen, "_LINE_S", 0)

    def interrupt(line):
        if line.startswith("stack: denoising") and "33%" in line:  # one of three
            os.kill(os.getpid(), signal.SIGINT)

    listen(monkeypatch, interrupt)
    paths = [folder / name for name in ("model.safetensors", "stack.tif")]
    answer = selfdenoise("predict", *paths, out, "--json")
    assert answer.status == 0
    said = [w for w in answer.json["warnings"] if not w.startswith("The result keeps")]
    (warning,) = said
    assert warning == "Stopped: 33% of stack is denoised, the rest is NaN."
    result = read_image(out).data
    assert np.isfinite(result[0]).all() and np.isnan(result[1:]).all()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_a_second_ctrl_c_throws_it_away(folder, selfdenoise, monkeypatch):
    monkeypatch.setattr(screen, "_LINE_S", 0)

    def interrupt(line):
        if line.startswith(("Learning", "Stopping")):
            os.kill(os.getpid(), signal.SIGINT)

    listen(monkeypatch, interrupt)
    out = folder / "out.tif"
    endless = [*QUICK[2:], "--budget", "until I stop"]
    assert selfdenoise("denoise", folder / "noisy.tif", out, *endless).status == 130
    assert not out.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_before_anything_is_denoised_keeps_the_older_file(
    folder, selfdenoise, monkeypatch
):
    """A file of NaN would take the place of an earlier result."""
    out = folder / "out.tif"
    out.write_bytes((folder / "noisy.tif").read_bytes())
    monkeypatch.setattr(screen, "_LINE_S", 0)

    said = []

    def interrupt(line):
        if line.startswith("stack: ") and "Stopping" not in line:
            listen(monkeypatch, said.append)
            os.kill(os.getpid(), signal.SIGINT)

    listen(monkeypatch, interrupt)
    answer = selfdenoise(
        "predict", folder / "model.safetensors", folder / "stack.tif", out
    )
    assert answer.status == 130
    assert "Stopping: nothing is denoised yet, so no image is written." in said


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_before_anything_is_learned_keeps_the_older_file(
    folder, selfdenoise, monkeypatch
):
    out, said = folder / "out.tif", []
    out.write_bytes((folder / "noisy.tif").read_bytes())

    def interrupt(line):
        said.append(line)
        if "Reading" in line:
            os.kill(os.getpid(), signal.SIGINT)

    listen(monkeypatch, interrupt)
    endless = [*QUICK[2:], "--budget", "until I stop"]
    assert selfdenoise("denoise", folder / "noisy.tif", out, *endless).status == 130
    assert said[-1] == "Stopping: nothing is learned yet, so nothing is kept."
    assert out.read_bytes() == (folder / "noisy.tif").read_bytes()
    assert out.read_bytes() == (folder / "noisy.tif").read_bytes()


def test_how_much_of_the_raw_image_is_kept_is_said(folder, selfdenoise):
    """By a model of one step, which has learned nothing, most of it."""
    model = folder / "new.safetensors"
    steps = [*QUICK, "--steps", "1"]
    selfdenoise("train", folder / "noisy.tif", "--model", model, *steps)
    arguments = [model, folder / "noisy.tif", folder / "out.tif", "--json"]
    warnings = selfdenoise("predict", *arguments).json["warnings"]
    assert any(re.search(r"keeps \d+% of the raw", text) for text in warnings)


@pytest.mark.parametrize("flag", ["", "--dark", "--mask"])
@pytest.mark.parametrize("verb", ["denoise", "predict"])
def test_what_is_read_is_never_replaced(folder, selfdenoise, flag, verb):
    """By another name of the same file either."""
    noisy, alias = folder / "noisy.tif", folder / "alias.tif"
    alias.symlink_to(noisy)
    before = noisy.read_bytes()
    source = folder / "stack.tif" if flag else noisy
    arguments = [folder / "model.safetensors"] if verb == "predict" else [*QUICK]
    arguments += [source, alias, *((flag, noisy) if flag else ())]
    answer = selfdenoise(verb, *arguments)
    assert answer.status == 2
    assert "would be lost" in answer.err
    assert noisy.read_bytes() == before


# Files that say odd things -----------------------------------------------------------


@pytest.fixture
def colours(tmp_path, scene):
    """Three frames that a writer tagged as the colours of one image."""
    frames = np.stack([scene.image.data[i : i + 48, :40] for i in range(3)])
    options = {"photometric": "rgb", "planarconfig": "separate"}
    tifffile.imwrite(tmp_path / "rgb.tif", frames, **options)
    return tmp_path / "rgb.tif"


def test_frames_that_are_called_colours_denoise(colours, tmp_path, selfdenoise):
    answer = selfdenoise("denoise", colours, tmp_path / "out.tif", "--json", *QUICK)
    assert answer.status == 0, answer.err
    assert read_image(tmp_path / "out.tif").shape == (3, 48, 40)
    (note,) = [text for text in answer.json["warnings"] if "RGB" in text]
    assert note in answer.err
    assert f"If the colours of {colours} are channels, give --axes CYX." in answer.err
    named = selfdenoise(
        *("train", colours, "--model", tmp_path / "m", "--json", *QUICK),
        *("--axes", "CYX"),
    )
    assert not any("RGB" in text for text in named.json["warnings"])
    assert "If the colours" not in named.err
    assert len(load_model(named.json["model"]).channels) == 3


def test_colours_are_refused_with_the_way_out(tmp_path, selfdenoise):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", pixels, photometric="rgb")
    arguments = ["denoise", tmp_path / "rgb.tif", tmp_path / "out.tif", *QUICK]
    answer = selfdenoise(*arguments)
    assert answer.status == 2
    assert "--axes YXC" in answer.err
    assert selfdenoise(*arguments, "--axes", "YXC").status == 0
    assert read_image(tmp_path / "out.tif").axes == "CYX"
    answer = selfdenoise(*arguments, "--axes", "TYXC", "--json")
    assert answer.status == 2
    assert "40 × 48 × 3" in answer.json["error"]


def test_axes_can_be_named_for_every_verb_that_reads(tmp_path, selfdenoise):
    frames = np.random.default_rng(0).poisson(100, (20, 48, 40)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", frames.transpose(1, 2, 0))
    axes = ("--axes", "YXT", "--json")
    model = tmp_path / "m.safetensors"
    for arguments in (
        ("train", tmp_path / "a.tif", "--model", model, *QUICK),
        ("predict", model, tmp_path / "a.tif", tmp_path / "out.tif"),
        ("evaluate", tmp_path / "a.tif", tmp_path / "a.tif"),
        ("calibrate", tmp_path / "a.tif", "--noise-model", tmp_path / "camera"),
    ):
        answer = selfdenoise(*arguments, *axes)
        assert answer.status == 0, answer.err
    assert read_image(tmp_path / "out.tif").shape == (20, 48, 40)
    assert (
        len(
            selfdenoise("evaluate", *[tmp_path / "a.tif"] * 2, *axes).json["images"][
                "psnr"
            ]
        )
        == 20
    )


def test_other_formats_and_pixel_sizes_for_every_verb_that_denoises(
    tmp_path, selfdenoise
):
    """A stack of micrographs in MRC, given as a movie, becomes an OME-Zarr."""
    frames = np.random.default_rng(0).poisson(100, (3, 48, 40)).astype(np.float32)
    with mrcfile.new(tmp_path / "a.mrcs") as mrc:
        mrc.set_data(frames)
        mrc.set_image_stack()
    reading = ("--axes", "frame,row,col", "--pixel-size", "65nm,T=2", "--json")
    model, out = tmp_path / "m.safetensors", tmp_path / "out.ome.zarr"
    for arguments in (
        ("train", tmp_path / "a.mrcs", "--model", model, *QUICK),
        ("predict", model, tmp_path / "a.mrcs", out, "--outputs", "denoised,noise-std"),
        ("predict", model, tmp_path / "a.mrcs", out),  # replaces it
    ):
        answer = selfdenoise(*arguments, *reading)
        assert answer.status == 0, answer.err
    assert (tmp_path / "out noise std.ome.zarr").is_dir()
    found = read_image(out)
    assert (found.axes, found.shape) == ("TYX", (3, 48, 40))
    assert found.pixel_size == (2.0, 65.0, 65.0)
    assert found.units == ("s", "nm", "nm")
    assert np.isfinite(found.data).all()


def test_a_zarr_that_holds_the_input_is_not_replaced(tmp_path, selfdenoise):
    image = Image(np.random.default_rng(0).poisson(100, (32, 32)), "YX")
    plate = tmp_path / "plate.zarr"
    zarr.open_group(str(plate), mode="w")
    field = write_image(image, plate / "A1.zarr")
    answer = selfdenoise("denoise", field, plate, *QUICK)
    assert answer.status == 2
    assert "would overwrite" in answer.err
    assert field.is_dir()


def test_a_line_scan_denoises_to_the_shape_of_its_file(tmp_path, selfdenoise, scene):
    lines = scene.image.data[:, None, :48]
    options = {"imagej": True, "metadata": {"axes": "TYX"}}
    tifffile.imwrite(tmp_path / "scan.tif", lines, **options)
    out = tmp_path / "out.tif"
    answer = selfdenoise("denoise", tmp_path / "scan.tif", out, "--json", *QUICK)
    assert answer.status == 0, answer.err
    assert "line scan: 64 time points × 48 positions" in answer.err
    assert tifffile.imread(out).shape == (64, 1, 48)
    plane = Image(scene.image.data[:, :48], "YX")
    write_image(plane, tmp_path / "plane.tif")
    selfdenoise("denoise", tmp_path / "plane.tif", tmp_path / "flat.tif", *QUICK)
    denoised = tifffile.imread(tmp_path / "flat.tif")
    np.testing.assert_array_equal(tifffile.imread(out)[:, 0], denoised)


def test_a_position_is_chosen_by_its_number(tmp_path, selfdenoise):
    path = tmp_path / "wells.ome.tif"
    sizes = (40, 48, 56)
    with tifffile.TiffWriter(path, ome=True) as writer:
        for number, size in enumerate(sizes):
            plane = np.random.default_rng(0).poisson(50, (size, 64)).astype(np.uint16)
            writer.write(plane, metadata={"axes": "YX", "Name": f"well {number}"})
    arguments = ["denoise", path, tmp_path / "out.tif", "--json", *QUICK]
    answer = selfdenoise(*arguments)
    assert any("1: well 1" in text for text in answer.json["warnings"])
    assert read_image(tmp_path / "out.tif").shape == (40, 64)
    answer = selfdenoise(*arguments, "--series", 2)
    assert not any("well" in text for text in answer.json["warnings"])
    assert read_image(tmp_path / "out.tif").shape == (56, 64)
    assert selfdenoise(*arguments, "--series", 3).status == 2


def test_one_bad_file_does_not_stop_the_others(folder, selfdenoise):
    (folder / "broken.tif").write_text("no image")
    (folder / "results").mkdir()
    sources = [folder / name for name in ("noisy.tif", "broken.tif", "stack.tif")]
    answer = selfdenoise(
        "predict", folder / "model.safetensors", *sources, folder / "results", "--json"
    )
    assert answer.status == 1
    assert len(answer.json["outputs"]["denoised"]) == 2
    assert all(read_image(path) for path in answer.json["outputs"]["denoised"])
    assert answer.json["failed"] == 1
    assert "broken.tif was left out" in answer.json["warnings"][0]
    assert "broken.tif was left out" in answer.err
    answer = selfdenoise("train", *sources, "--model", folder / "m", "--json", *QUICK)
    assert answer.status == 0
    assert "broken.tif was left out" in answer.json["warnings"][0]
    assert "broken.tif was left out" in answer.err
    assert load_model(answer.json["model"]).provenance["images"] == ["noisy", "stack"]
    broken = [folder / "broken.tif"] * 2
    answer = selfdenoise("train", *broken, "--model", folder / "m", *QUICK)
    assert answer.status == 2


def test_a_cut_file_is_denoised_as_far_as_it_is_whole(folder, selfdenoise):
    cut = (folder / "stack.tif").read_bytes()
    (folder / "cut.tif").write_bytes(cut[: int(0.8 * len(cut))])
    arguments = [folder / "model.safetensors", folder / "cut.tif", folder / "out.tif"]
    answer = selfdenoise("predict", *arguments, "--json")
    assert answer.status == 0
    assert "2 of its 3 images" in answer.json["warnings"][0]
    assert answer.json["warnings"][0] in answer.err
    assert read_image(folder / "out.tif").shape == (2, 32, 48)


# Dark frame, flat field, mask -------------------------------------------------------


def test_the_camera_is_corrected_before_it_is_denoised(folder, scene, selfdenoise):
    pattern = np.random.default_rng(0).uniform(0, 90, (64, 64))
    gain = np.linspace(0.5, 1.5, 64)[:, None] * np.ones((64, 64))
    raw = scene.image.data * gain + pattern
    mask = np.ones((64, 64), np.uint8)
    mask[:, :9] = 0
    for name, pixels in {
        "raw": raw,
        "dark": pattern,
        "flat": gain,
        "even": scene.image.data + np.median(pattern),
        "mask": mask,
    }.items():
        write_image(Image(pixels.astype(np.float32), "YX"), folder / f"{name}.tif")
    flags = [f for n in ("dark", "flat") for f in (f"--{n}", folder / f"{n}.tif")]
    model = folder / "model.safetensors"
    answer = selfdenoise(
        "predict", model, folder / "raw.tif", folder / "a.tif", "--json", *flags
    )
    assert answer.status == 0, answer.err
    assert answer.json["corrections"] == {"dark": "dark", "flat": "flat"}
    assert any("flat field 'flat'" in text for text in answer.json["warnings"])
    selfdenoise("predict", model, folder / "even.tif", folder / "b.tif")
    corrected, even = (read_image(folder / f"{n}.tif").data for n in "ab")
    np.testing.assert_allclose(corrected, even, rtol=1e-3)
    answer = selfdenoise(
        *("denoise", folder / "raw.tif", folder / "a.tif", "--json", *QUICK),
        *(*flags, "--mask", folder / "mask.tif"),
    )
    assert answer.status == 0, answer.err
    assert answer.json["corrections"]["mask"] == "mask"


@pytest.mark.parametrize("flag", ["--dark", "--flat", "--mask"])
def test_corrections_of_another_size_are_refused(folder, selfdenoise, flag):
    arguments = ["train", folder / "noisy.tif", "--model", folder / "m", *QUICK]
    answer = selfdenoise(*arguments, flag, folder / "stack.tif", "--json")
    assert answer.status == 2
    assert "stack" in answer.json["error"]
    answer = selfdenoise(*arguments, flag, folder / "none.tif", "--json")
    assert answer.status == 2
    assert "no file" in answer.json["error"]


def test_a_mask_of_the_whole_stack_serves_one_of_its_frames(folder, selfdenoise):
    mask = np.ones((3, 32, 48), np.uint8)
    write_image(Image(mask, "TYX"), folder / "mask.tif")
    answer = selfdenoise(
        *("train", folder / "stack.tif", "--frame", 1, "--mask", folder / "mask.tif"),
        *("--model", folder / "m", *QUICK),
    )
    assert answer.status == 0, answer.err


def test_evaluate_checks_what_was_removed_without_a_reference(tmp_path, selfdenoise):
    signal = np.add.outer(np.arange(96.0), np.arange(96.0))
    noisy = signal + np.random.default_rng(0).normal(0, 20, signal.shape)
    write_image(Image(signal, "YX"), tmp_path / "denoised.tif")
    write_image(Image(noisy, "YX"), tmp_path / "noisy.tif")
    arguments = [
        "evaluate",
        tmp_path / "denoised.tif",
        "--noisy",
        tmp_path / "noisy.tif",
    ]
    report = selfdenoise(*arguments, "--json").json
    assert report["verdict"] == "No structure is left in the residual."
    assert report["structure_left"] is False
    assert len(report["autocorrelation"]["rho"]["x"]) == 8
    assert "No structure is left" in selfdenoise(*arguments).out
    both = selfdenoise(*arguments, tmp_path / "noisy.tif", "--json").json
    assert {"psnr", "verdict"} <= both.keys()
    figures = {figure["name"]: figure for figure in both["figures"]}
    assert figures["psnr"]["value"] == both["psnr"]
    assert figures["sure_rmse"]["value"] is None
    assert "needs the model" in figures["sure_rmse"]["reason"]
    alone = selfdenoise("evaluate", tmp_path / "denoised.tif", "--json")
    assert alone.status == 2
    assert "--noisy" in alone.json["hint"]


def test_evaluate_estimates_the_error_with_the_model_that_made_the_result(
    folder, selfdenoise
):
    noisy, model, out = folder / "noisy.tif", folder / "model.safetensors", "out.tif"
    selfdenoise("predict", model, noisy, folder / out)
    arguments = ["evaluate", folder / out, "--noisy", noisy, "--model", model]
    figures = selfdenoise(*arguments, "--json").json["figures"]
    found = {figure["name"]: figure for figure in figures}
    assert 1 < found["held_out_bits"]["value"] < 16
    assert found["sure_rmse"]["value"] or "too small" in found["sure_rmse"]["reason"]
    assert "Held-out bits" in selfdenoise(*arguments).out
    wrong = selfdenoise("evaluate", folder / out, noisy, "--model", model, "--json")
    assert wrong.status == 2
    assert "--noisy" in wrong.json["hint"]


def test_each_run_writes_a_report_where_it_is_asked_for(folder, selfdenoise):
    noisy, model = folder / "noisy.tif", folder / "model.safetensors"
    page = folder / "page.html"
    runs_of = (
        ("denoise", noisy, folder / "out.tif", *QUICK),
        ("predict", model, noisy, folder / "out.tif"),
        ("train", noisy, "--model", folder / "new", *QUICK),
    )
    for images, arguments in zip((3, 3, 0), runs_of, strict=True):
        assert selfdenoise(*arguments, "--report", page).status == 0
        assert page.read_text(encoding="utf-8").count("<img") == images
        page.unlink()
    missing = folder / "none" / "page.html"
    answer = selfdenoise(*runs_of[0], "--report", missing, "--json")
    assert answer.status == 2
    assert "is not there" in answer.json["error"]


def test_intervals_are_measured_and_doubts_written(folder, selfdenoise):
    rng = np.random.default_rng(0)
    noisy = rng.normal(500, 40, (96, 96)).astype(np.float32)
    write_image(Image(noisy, "YX"), folder / "flat.tif")
    trained = selfdenoise(
        *("train", folder / "flat.tif", "--model", folder / "flat", *QUICK),
        *("--objective", "squared_error", "--signal", "gaussian"),
    )
    assert trained.status == 0, trained.err
    answer = selfdenoise(
        *("intervals", folder / "flat", folder / "flat.tif", "--json"),
        *("--doubt", folder / "doubt.tif"),
    )
    assert answer.status == 0, answer.err
    assert answer.json["coverage"]["90 %"] == pytest.approx(90, abs=4)
    assert len(answer.json["histogram"]) == 20
    assert answer.json["intervals"].startswith("Intervals of 90 % hold")
    doubt = read_image(folder / "doubt.tif")
    assert doubt.shape == noisy.shape and doubt.dtype == np.uint8
