"""Devices, number formats, threads and memory; processes; measurements of a machine.

For model, training, prediction, run_time, and what stands above them.
"""

from napari_selfdenoise.compute.awake_time import AwakeTime
from napari_selfdenoise.compute.cuda_graph import RecordedWork, records
from napari_selfdenoise.compute.device import (
    autocast,
    available_devices,
    computing,
    device_errors_as_sentences,
    free_memory,
    give_back_memory,
    if_memory_allows,
    is_lost,
    lacks_memory,
    resolve_device,
    resolve_precision,
)
from napari_selfdenoise.compute.doctor import examine
from napari_selfdenoise.compute.memory import fair_memory, parse_memory
from napari_selfdenoise.compute.processes import Processes
from napari_selfdenoise.compute.transfer import to_device

__all__ = [
    "AwakeTime",
    "Processes",
    "RecordedWork",
    "autocast",
    "available_devices",
    "computing",
    "device_errors_as_sentences",
    "examine",
    "fair_memory",
    "free_memory",
    "give_back_memory",
    "if_memory_allows",
    "is_lost",
    "lacks_memory",
    "parse_memory",
    "records",
    "resolve_device",
    "resolve_precision",
    "to_device",
]
