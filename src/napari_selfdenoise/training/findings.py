"""What was found of the images that are learned from, in sentences."""

from __future__ import annotations

from collections.abc import Iterable

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.defects import DefectCount, describe_defects, measure_clipping
from napari_selfdenoise.training.training_data import TrainingData


def describe_data(data: TrainingData, config: TrainingConfig) -> list[str]:
    """Sentences on defects, rounding, clipping and line offsets; some may be empty.

    Parameters
    ----------
    data : TrainingData
        What is learned from.
    config : TrainingConfig
        Says what is done about outliers.
    """
    return [
        _describe_defects(data, config),
        data.rounding,
        _describe_clipping(data),
        _describe_patterns(data),
    ]


_SUPERVISION = {
    "self": "",
    "pair": "The network learns each exposure from the other one (Noise2Noise), so no "
    "pixel is masked.",
    "noise_free": "The network learns from the noise-free image (supervised), so no "
    "pixel is masked.",
}


def describe_supervision(config: TrainingConfig) -> str:
    """Sentence on what is predicted where it is another image; else empty."""
    return _SUPERVISION[config.supervision]


def _describe_defects(data: TrainingData, config: TrainingConfig) -> str:
    """What is left out of the training."""
    empty = [channel for channel, one in enumerate(data.summaries, 1) if not one.rows]
    blank = sum(
        image.blank_planes(channel)
        for image in data.clean
        for channel, one in enumerate(data.summaries)
        if one.rows
    )
    count = DefectCount(planes=blank, blank=blank)
    count = sum((one.count for one in data.summaries), count)
    sentences = [
        f"Channel {channel} of {data.channels} stays as it is: it holds nothing to "
        "learn from."
        for channel in empty
    ]
    return _joined([*sentences, describe_defects(count, config.outliers)])


def _describe_clipping(data: TrainingData) -> str:
    """Where values end at those that could be recorded."""
    return _joined(
        str(measure_clipping(one.rows)) for one in data.summaries if one.rows
    )


def _describe_patterns(data: TrainingData) -> str:
    """Offsets of lines that were subtracted."""
    channels = range(data.channels)
    return _joined(str(image.patterns(c)) for image in data.clean for c in channels)


def _joined(sentences: Iterable[str]) -> str:
    """Sentences in a row, each once."""
    return " ".join(dict.fromkeys(filter(None, sentences)))
