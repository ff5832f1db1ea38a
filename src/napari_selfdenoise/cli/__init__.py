"""The command line: the same generators as the window, driven by a loop."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from napari_selfdenoise.cli.calibrating import calibrate_verb
from napari_selfdenoise.cli.checking import demo_verb, doctor_verb
from napari_selfdenoise.cli.denoising import denoise_verb, train_verb
from napari_selfdenoise.cli.diagnosing import diagnose_verb
from napari_selfdenoise.cli.evaluating import evaluate_verb
from napari_selfdenoise.cli.exporting import export_verb
from napari_selfdenoise.cli.inspecting import inspect_verb
from napari_selfdenoise.cli.intervals import intervals_verb
from napari_selfdenoise.cli.outputs import OUTPUTS
from napari_selfdenoise.cli.predicting import predict_verb
from napari_selfdenoise.cli.probing import probe_verb
from napari_selfdenoise.cli.processes import only_first_speaks, require_together
from napari_selfdenoise.cli.report import complain
from napari_selfdenoise.cli.settings import run_config
from napari_selfdenoise.cli.watching import watch_verb
from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.version import __version__

__all__ = ["OUTPUTS", "cli", "main", "run_config"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="napari-selfdenoise")
@click.pass_context
def cli(context: click.Context) -> None:
    """Denoise noisy microscopy images without noise-free ones."""
    require_together(context.invoked_subcommand or "")


for _verb in (
    denoise_verb,
    train_verb,
    predict_verb,
    watch_verb,
    calibrate_verb,
    diagnose_verb,
    probe_verb,
    inspect_verb,
    evaluate_verb,
    intervals_verb,
    export_verb,
    demo_verb,
    doctor_verb,
):
    cli.add_command(_verb)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 the run failed, 2 a wrong request."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in arguments
    try:
        with only_first_speaks():
            status = cli.main(arguments, prog_name="selfdenoise", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(complain("Stopped.", "", as_json, 130))
    except click.ClickException as error:
        sys.exit(complain(error.format_message(), _usage(error), as_json, 2))
    except RequestError as error:
        sys.exit(complain(error.message, error.hint, as_json, 2))
    except DenoisingError as error:
        sys.exit(complain(error.message, error.hint, as_json, 1))
    sys.exit(status or 0)


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "selfdenoise"
    return f"See `{path} --help`."
