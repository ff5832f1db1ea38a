"""How long a run takes: from a probe before it, and while it goes on.

For command line and window.
"""

from napari_selfdenoise.run_time.run_time import (
    Moment,
    Portions,
    RunClock,
    RunEstimate,
    denoising_text,
    estimate_run,
    estimate_steps,
    forecast,
    learning_text,
    left_text,
    with_estimate,
    worth_estimating,
)

__all__ = [
    "Moment",
    "Portions",
    "RunClock",
    "RunEstimate",
    "denoising_text",
    "estimate_run",
    "estimate_steps",
    "forecast",
    "learning_text",
    "left_text",
    "with_estimate",
    "worth_estimating",
]
