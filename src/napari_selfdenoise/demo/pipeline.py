"""The whole pipeline on the real image that ships with the program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata, util
from pathlib import Path
from typing import Any

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.demo.figures import (
    require_matplotlib,
    save_comparison,
    save_loss_figure,
    save_noise_figure,
)
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.evaluation import evaluate
from napari_selfdenoise.images import fish_average, fish_frame, saving, write_image
from napari_selfdenoise.model import TrainedModel, save_model
from napari_selfdenoise.prediction import denoise
from napari_selfdenoise.training import TrainingProgress, train_steps

Say = Callable[[str], None]


def run_demo(
    folder: Path, config: TrainingConfig, *, window: bool, say: Say
) -> dict[str, Any]:
    """Denoise the shipped frame, compare it with the shipped average, draw figures.

    Parameters
    ----------
    folder : Path
        Where the files go; made if it is not there.
    config : TrainingConfig
        What to train.
    window : bool
        Whether to do the same in a napari window and keep a picture of it.
    say : callable
        Called with each line for the user.

    Returns
    -------
    dict
        PSNR and SSIM before and after (range 255), and the files written.

    Raises
    ------
    RequestError
        If the folder cannot be made.
    """
    require_matplotlib()
    _make(folder)
    noisy, clean = fish_frame(), fish_average()
    model, last = _train(noisy, config, say)
    say("Denoising")
    result = denoise(noisy, model, device=config.device)
    files = {
        "denoised": write_image(result.denoised, folder / "denoised.tif"),
        "noise_std": write_image(result.noise_std, folder / "noise std.tif"),
        "model": save_model(model, folder / "model"),
        "loss_figure": folder / "loss.png",
        "noise_figure": folder / "noise curve.png",
        "comparison": folder / "before and after.png",
    }
    save_loss_figure(model.history, files["loss_figure"])
    save_noise_figure(
        model.noise_curves[0], last.scatter if last else None, files["noise_figure"]
    )
    planes = {"one frame": noisy, "denoised": result.denoised, "50 frames": clean}
    save_comparison(
        {name: image.read_plane(()) for name, image in planes.items()},
        files["comparison"],
    )
    report = {
        "before": _compare(noisy, clean),
        "after": _compare(result.denoised, clean),
        "steps": model.provenance["steps"],
        "seconds": model.provenance["seconds"],
    }
    warnings = _photograph(folder, config, files, say) if window else []
    report |= {"files": {k: str(v) for k, v in files.items()}, "warnings": warnings}
    with saving(folder / "report.json", "report") as part:
        part.write_text(json.dumps(report, indent=2))
    return report


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"The folder {folder} cannot be made: {error.strerror}.", "Choose another."
        ) from error


def _train(
    image: Any, config: TrainingConfig, say: Say
) -> tuple[TrainedModel, TrainingProgress | None]:
    steps, last, last_report = train_steps(image, config), None, -10.0
    while True:
        try:
            progress = next(steps)
        except StopIteration as end:
            return end.value, last
        last = progress if progress.step else last
        if progress.elapsed_s - last_report > 5:
            last_report = progress.elapsed_s
            done = f": step {progress.step}, loss {progress.loss:.4g}"
            say(progress.stage + (done if progress.step else ""))


def _compare(prediction: Any, reference: Any) -> dict[str, float]:
    measured = evaluate(prediction, reference, data_range=255)
    return {name: round(measured[name], 4) for name in ("psnr", "ssim")}


def _photograph(
    folder: Path, config: TrainingConfig, files: dict[str, Path], say: Say
) -> list[str]:
    """Do the same in a napari window, in a process of its own."""
    # The window registers its part under this name: the core does not know it.
    registered = metadata.entry_points(group="napari_selfdenoise.demo")
    if util.find_spec("napari") is None or not registered:
        return ["No picture of the window: napari is not installed."]
    say("Doing the same in a napari window")
    picture = folder / "window.png"
    (window,) = registered
    command = [sys.executable, "-m", window.module, str(picture), str(config.budget_s)]
    try:
        with _screen() as environment:
            subprocess.run(command, env=environment, check=True, timeout=600)
    except (DenoisingError, OSError, subprocess.SubprocessError) as error:
        return [f"No picture of the window: {error}"]
    files["window"] = picture
    return []


@contextmanager
def _screen() -> Iterator[dict[str, str]]:
    """Environment with a screen: the one at hand, else a virtual one."""
    environment = dict(os.environ)
    needs_screen = sys.platform == "linux" and not (
        environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    )
    if not needs_screen:
        yield environment
        return
    if shutil.which("Xvfb") is None:
        raise DenoisingError("there is no screen, and Xvfb is not installed.")
    read, write = os.pipe()
    screen = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        with os.fdopen(read) as number:
            environment["DISPLAY"] = f":{number.readline().strip()}"
        yield environment
    finally:
        screen.terminate()
        screen.wait(10)
