"""A training whose planes are read while it goes on: it begins with a part of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.training.channel_trainer import ChannelTrainer
from napari_selfdenoise.training.consensus import Consensus
from napari_selfdenoise.training.findings import describe_data
from napari_selfdenoise.training.plane_reader import TrainingPlane
from napari_selfdenoise.training.schedule import Schedule
from napari_selfdenoise.training.training_data import Reader, TrainingData

_SHARE = 0.5
"""Pixels that are added at once, at least, over those that are learned from already:
what is there is copied each time."""


class Growth:
    """Reads what else is to be learned from, a bit between two steps.

    What is read is decided by the seed and the step, so that equal seeds give equal
    results. It takes none of the time that is to be learned for.

    Parameters
    ----------
    data : TrainingData
        Of which the first part is learned from already.
    trainers : mapping of int to ChannelTrainer
        Of the channels that are not empty, by their number.
    schedule : Schedule
        The budget.
    agreed : Consensus
        Processes that train together read the same, and leave out the same time.

    Attributes
    ----------
    started : bool
        Whether anything was read.
    advances : int
        How many times.
    """

    def __init__(
        self,
        data: TrainingData,
        trainers: Mapping[int, ChannelTrainer],
        schedule: Schedule,
        agreed: Consensus,
    ) -> None:
        self._data, self._schedule, self._agreed = data, schedule, agreed
        self.started = False
        self.advances = 0
        self._growing = {
            channel: _Growing(data.readers[channel], trainer)
            for channel, trainer in trainers.items()
            if not data.readers[channel].is_over
        }

    def pixels(self, channel: int) -> int:
        """How many pixels of a channel are still to be read."""
        return self._data.readers[channel].pixels_left

    def advance(self) -> None:
        """Read some planes of each channel, if there are more."""
        if not self._growing:
            return
        began, self.started = self._agreed.now(), True
        self.advances += 1
        for growing in self._growing.values():
            growing.read()
        self._growing = {
            channel: one for channel, one in self._growing.items() if not one.is_over
        }
        left = max((one.runs_left for one in self._growing.values()), default=0)
        self._agreed.renew()
        self._schedule.pause(self._agreed.now() - began, left)

    def replay(self, advances: int) -> Iterator[None]:
        """Read as much as an interrupted training had read, bit by bit."""
        while self.advances < advances and self._growing:
            self.advance()
            yield

    def findings(self, config: TrainingConfig) -> tuple[str, ...]:
        """What was found of all that was read by now, as of `describe_data`."""
        return tuple(describe_data(self._data, config))


class _Growing:
    """What is read of one channel, and waits until there is enough to be added."""

    def __init__(self, reader: Reader, trainer: ChannelTrainer) -> None:
        self._reader, self._trainer = reader, trainer
        self._waiting: list[TrainingPlane] = []

    @property
    def is_over(self) -> bool:
        return self._reader.is_over and not self._waiting

    @property
    def runs_left(self) -> int:
        return self._reader.runs_left

    def read(self) -> None:
        """Read some planes; they are learned from once there are enough."""
        self._waiting += self._reader.read_run()
        pixels = sum(one.clean.pixels.size for one in self._waiting)
        enough = pixels >= _SHARE * len(self._trainer.sampler.pixels)
        if self._waiting and (enough or self._reader.is_over):
            self._trainer.add(self._waiting)
            self._waiting = []
