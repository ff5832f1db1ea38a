"""Predicting one tile: its views, its passes, and what an estimator makes of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdenoise.defects import CleanImage
from napari_selfdenoise.images import Normalization, Tile, read_padded, sources
from napari_selfdenoise.model import TrainedModel, run
from napari_selfdenoise.noise import (
    PROBE,
    Differences,
    binned,
    block_numbers,
    squared_noise,
)
from napari_selfdenoise.noise.calibration import fit_poisson_gaussian
from napari_selfdenoise.parts.gaussian_mixtures import Mixture
from napari_selfdenoise.parts.likelihood import (
    draw,
    in_chunks,
    mode,
    posterior,
    without_noise,
)
from napari_selfdenoise.parts.masking import Mask, RandomMask
from napari_selfdenoise.parts.noise_models import (
    NoiseCurve,
    NoiseModule,
    TabulatedModule,
)
from napari_selfdenoise.prediction.sure import Blend

Turn = tuple[bool, bool, bool]
"""Transpose, flip rows, flip columns."""

Estimates = dict[str, NDArray[np.float32]]

_FIT_PIXELS = 2**20
"""Pixels of an image that its noise is fitted to; more change nothing."""


class Views(NamedTuple):
    """What all orientations of a tile give, turned back, normalised.

    Parameters
    ----------
    first : Tensor
        Mean of the signal from the image as it lies, (Y, X).
    mean : Tensor
        All outputs, averaged over the orientations, (C, Y, X).
    """

    first: Tensor
    mean: Tensor


class TilePredictor:
    """Predicts tiles of one plane.

    Parameters
    ----------
    image : CleanImage
        What is denoised.
    model : TrainedModel
        On the device.
    channel : int
        Which of its channels the plane belongs to.
    device : torch.device
        Where to compute.
    generator : torch.Generator
        For samples, and fills that are random.
    """

    def __init__(
        self,
        image: CleanImage,
        model: TrainedModel,
        channel: int,
        device: torch.device,
        generator: torch.Generator,
    ) -> None:
        self.image, self.config, self.device = image, model.config, device
        self.precision, self.margin = model.precision, self.margin_of(model)
        self.generator = generator
        self.channel = model.channels[channel]
        self.stride, self.hardly_trained = model.config.stride, model.hardly_trained
        # Share of the work on the plane that `prepare` did; what a blend is made of.
        self.prepared = 0.0
        self.blend: Blend | None = None
        # By which the network's total variance is wrong on average.
        self.temperature = 1.0
        self._use(self.channel.noise_curve)

    @classmethod
    def margin_of(cls, model: TrainedModel) -> int:
        """How far around a tile is read, in pixels."""
        return model.margin

    def _use(self, curve: NoiseCurve) -> None:
        self.curve = curve
        module = TabulatedModule(self.channel.noise_units(), curve)
        self.noise: NoiseModule = module.to(self.device)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Orientations that are averaged, the image as it lies first."""
        return self.config.masking.orientations if self.config.flips else _UNTURNED

    @property
    def hides(self) -> bool:
        """Whether each pixel is hidden from its own prediction, in several passes."""
        return self.config.estimator.hides

    def prepare(self, tiles: Sequence[Tile]) -> Iterator[float]:
        """Learn of the plane what has to be known before its tiles are predicted.

        Parameters
        ----------
        tiles : sequence of Tile
            Of the plane.

        Yields
        ------
        float
            Share of all work on the plane that is done.
        """
        if self.config.per_image:
            for _ in self.fit_noise(tiles):
                yield 0.0

    # ---- Views ----

    def denoise(
        self, tile: Tile, wanted: Mapping[str, object]
    ) -> Iterator[tuple[float, Estimates | None]]:
        """Predict a tile view by view; the last comes with what was made of them.

        Yields
        ------
        float
            Share of the tile that is done.
        dict or None
            Results by name, (Y, X) or (samples, Y, X), raw units.
        """
        raw, inner = self._read(tile)
        for share, views in self._views(raw, tile, inner, self.hides):
            if views is None:
                yield share, None
        assert views is not None
        observed = self._normalise(raw)[0, 0][inner]
        yield 1.0, self._estimate(views.mean, observed, wanted)

    def _views(
        self, raw: Tensor, tile: Tile, inner: tuple[slice, slice], hides: bool
    ) -> Iterator[tuple[float, Views | None]]:
        """Outputs of all views of a tile; with the last share of them, not before."""
        mean, first = PairwiseMean(), torch.zeros(0)
        for number, turn in enumerate(self.turns):
            for share, outputs in self._passes(raw, tile, turn, hides):
                if outputs is not None:
                    outputs = outputs[(..., *inner)]
                    first = first if number else outputs[0].clone()
                    mean.add(outputs)
                if number + share < len(self.turns):
                    yield (number + share) / len(self.turns), None
        yield 1.0, Views(first, mean.value())

    def _read(self, tile: Tile) -> tuple[Tensor, tuple[slice, slice]]:
        """Raw pixels of a padded tile, (1, 1, Y, X), and the tile's place in them."""
        blind = self.config.network.blind
        fill = self.channel.normalization.offset if blind else None
        padded, inner = read_padded(self.image, tile, self.margin, self.stride, fill)
        return torch.from_numpy(padded)[None, None].to(self.device), inner

    def _good(self, tile: Tile) -> NDArray[np.bool_]:
        """Where the observation of a tile tells of the signal, (Y, X)."""
        return self.image.read(tile.plane, tile.rows, tile.columns).good

    def _normalise(self, raw: Tensor) -> Tensor:
        return self.channel.normalization.apply(raw)

    def _passes(
        self, raw: Tensor, tile: Tile, turn: Turn, hides: bool
    ) -> Iterator[tuple[float, Tensor | None]]:
        """Outputs of one view, in several passes where each pixel is hidden.

        Yields
        ------
        float
            Share of the passes that is done.
        Tensor or None
            With the last one, outputs turned back: mean, rest, phantom, (C, Y, X).
        """
        image = turned(self._normalise(raw), turn)
        rows, columns = self.config.masking.lattice
        if not hides or rows * columns == 1:
            yield 1.0, turned_back(self._run(image), turn)
            return
        lattice = self._lattice(tile)
        gathered: Tensor | None = None
        for number, (y, x) in enumerate(np.ndindex(rows, columns), 1):
            targets = turned(lattice == y * columns + x, turn)
            outputs = self._run(self._hidden(image, targets))
            if gathered is None:
                gathered = torch.zeros_like(outputs)
            gathered = torch.where(targets[0], outputs, gathered)
            last = number == rows * columns
            yield (
                number / (rows * columns),
                turned_back(gathered, turn) if last else None,
            )

    def _lattice(self, tile: Tile) -> Tensor:
        """Number of the pass in which each pixel is hidden, (1, 1, Y, X)."""
        rows, columns = self.config.masking.lattice
        shape = self.image.plane_shape
        y, x = sources(tile, shape, self.margin, self.stride)
        number = (y % rows)[:, None] * columns + (x % columns)[None, :]
        return torch.from_numpy(number)[None, None].to(self.device)

    def _hidden(self, image: Tensor, targets: Tensor) -> Tensor:
        masking = self.config.masking
        mask = Mask(masking.hide(targets), torch.zeros((1, 0), dtype=torch.long))
        return masking.apply(image, mask, self.generator)

    def _run(self, image: Tensor) -> Tensor:
        """Outputs of one pass: mean, rest, phantom, (C, Y, X), normalised."""
        channel, size = self.channel, self.config.masking.binning
        with torch.no_grad():
            seen = run(channel.network, channel.optics, image, self.precision, size)
        return torch.cat(seen if channel.optics else seen[:2], dim=1)[0]

    # ---- Estimates ----

    def _estimate(
        self, outputs: Tensor, observed: Tensor, wanted: Mapping[str, object]
    ) -> Estimates:
        """What the estimator makes of averaged outputs (C, Y, X), raw units."""
        norm = self.channel.normalization
        found: dict[str, Tensor] = {}
        if self.channel.optics:
            found["deconvolved"] = norm.invert(outputs[-1])
        if self.config.estimator.fuses:
            found |= self._fuse(outputs, observed)
        else:
            found["denoised"] = norm.invert(outputs[0])
        results = {name: values.cpu().numpy() for name, values in found.items()}
        results["noise_std"] = self.curve.std_at(results["denoised"])
        return {name: results[name] for name in results if name in wanted}

    def _prior(self, outputs: Tensor) -> Mixture:
        """Prior of pixels, from outputs (n, C)."""
        rest = outputs[:, 1 : self.config.signal.outputs]
        prior = self.config.signal.prior(outputs[:, 0], rest)
        if not self.config.per_image:
            return prior
        log_std = prior.log_std + 0.5 * math.log(self.temperature)
        return without_noise(prior._replace(log_std=log_std), self.noise)

    def _fuse(self, outputs: Tensor, observed: Tensor) -> dict[str, Tensor]:
        """Posterior of each pixel: mean or mode, std, samples; raw units."""
        norm, estimator = self.channel.normalization, self.config.estimator
        flat, shape = outputs.flatten(1).T, observed.shape  # (n, C)

        def fuse(prior: Mixture, seen: Tensor) -> tuple[Tensor, ...]:
            known = posterior(prior, self.noise, seen)
            pick = mode if estimator.kind == "posterior_mode" else Mixture.expectation
            drawn = [draw(known, self.generator) for _ in range(estimator.count)]
            return pick(known), known.variance().sqrt(), *drawn

        value, std, *drawn = in_chunks(
            fuse,
            lambda part: self._prior(flat[part]),
            observed.flatten(),
            self._numbers_a_pixel(),
        )
        found = {"denoised": norm.invert(value), "posterior_std": std * norm.scale}
        if drawn:
            found["posterior_samples"] = norm.invert(torch.stack(drawn))
        return {name: v.reshape(*v.shape[:-1], *shape) for name, v in found.items()}

    def _numbers_a_pixel(self) -> int:
        """How many numbers the posterior of one pixel takes."""
        width = self.curve.weights.shape[1] if self.noise.closed_form else 7
        return max(8, self.config.signal.outputs * width)

    # ---- Noise of one image ----

    def fit_noise(self, tiles: Sequence[Tile]) -> Iterator[None]:
        """Fit a and b to the plane that is denoised (Khademi et al. 2021, section 3).

        The squared residuals hold the prediction's own error beside the noise, which
        the published fit takes for noise. Here a little noise is added once more, to
        see how the prediction moves, and neighbours' residuals are compared.

        Yields
        ------
        None
            Tile by tile.
        """
        parts: list[Tensor] = []
        differences: list[Differences] = []
        each = max(64, _FIT_PIXELS // len(tiles))
        for tile in tiles:
            parts.append(self._looked_at(tile, each))
            yield
            if not self.config.masking.correlated:
                differences += self._differences(tile, each)
                yield
        mean, observed, moved, total = torch.cat(parts, dim=1).double().cpu().numpy()
        signal, squared = squared_noise(differences, Normalization(0.0, 1.0))
        if len(signal):
            fitted = fit_poisson_gaussian(signal, signal + np.sqrt(squared))
        else:
            own = np.interp(mean, *binned(mean, (moved - mean) / PROBE))
            fitted = fit_poisson_gaussian(mean, observed, prior_variance=own)
        self._use(_line(self.curve, *fitted))
        self.temperature = float(np.mean((observed - mean) ** 2 / total))

    def _looked_at(self, tile: Tile, count: int) -> Tensor:
        """What a fit needs of some pixels of a tile, raw units, (4, n).

        Mean, observation, mean with a little more noise, total variance.
        """
        norm = self.channel.normalization
        raw, inner = self._read(tile)
        outputs = self._unturned(raw, tile)
        mean = outputs[None, :1]
        moved = self._unturned(self._noisier(raw, mean), tile)[None, :1]
        rest = outputs[1 : self.config.signal.outputs].flatten(1).T
        prior = self.config.signal.prior(outputs[0].flatten(), rest)
        total = prior.variance().view_as(raw) * norm.scale**2
        values = (norm.invert(mean), raw, norm.invert(moved), total)
        good = torch.from_numpy(self._good(tile)).to(self.device)
        flat = torch.stack([v[0, 0][inner][good] for v in values])
        return flat[:, :: max(1, flat.shape[1] // count)]

    def _differences(self, tile: Tile, count: int) -> list[Differences]:
        """Differences of residuals in the hidden blocks of a tile, raw units."""
        norm = self.channel.normalization
        raw, inner = self._read(tile)
        places = sources(tile, self.image.plane_shape, self.margin, self.stride)
        numbers = block_numbers(*(torch.from_numpy(v).to(self.device) for v in places))
        found = []
        good = torch.from_numpy(self._good(tile)).to(self.device)[None, None]
        for hidden in (numbers == number for number in range(4)):
            mean = self._without(raw, hidden)
            moved = self._without(self._noisier(raw, mean), hidden)
            inside = (..., *inner)
            parts = [v[inside] for v in (norm.invert(mean), raw, norm.invert(moved))]
            apart = Differences.of(parts[0], parts[1], parts[2], hidden[inner], good)
            found.append(apart.thinned(count // 4))
        return found

    def _without(self, raw: Tensor, hidden: Tensor) -> Tensor:
        """Mean predicted without the hidden pixels (Y, X): (1, 1, Y, X), normalised."""
        mask = Mask(hidden[None, None], torch.zeros((1, 0), dtype=torch.long))
        masked = RandomMask().apply(self._normalise(raw), mask, self.generator)
        return self._run(masked)[None, :1]

    def _noisier(self, raw: Tensor, mean: Tensor) -> Tensor:
        """Pixels with a little more noise; mean (1, 1, Y, X), normalised."""
        norm = self.channel.normalization
        noisier = self.noise.renoise(mean, self._normalise(raw), self.generator)
        return raw + PROBE * (norm.invert(noisier) - raw)

    def _unturned(self, raw: Tensor, tile: Tile) -> Tensor:
        """Outputs of the image as it lies, (C, Y, X), normalised."""
        for _, outputs in self._passes(raw, tile, _UNTURNED[0], self.hides):
            found = outputs
        assert found is not None
        return found


_UNTURNED: tuple[Turn, ...] = ((False, False, False),)


def turned(image: Tensor, turn: Turn) -> Tensor:
    """Transpose, then flip, the last two axes."""
    transpose, *flips = turn
    axes = [axis for axis, flip in zip((-2, -1), flips, strict=True) if flip]
    return (image.mT if transpose else image).flip(axes)


def turned_back(image: Tensor, turn: Turn) -> Tensor:
    """Undo `turned`."""
    transpose, *flips = turn
    axes = [axis for axis, flip in zip((-2, -1), flips, strict=True) if flip]
    back = image.flip(axes)
    return back.mT if transpose else back


class PairwiseMean:
    """Mean of 2^n tensors, pair by pair: equal values come back to the bit."""

    def __init__(self) -> None:
        self._halves: list[tuple[int, Tensor]] = []

    def add(self, values: Tensor) -> None:
        """Add one; at most n + 1 are kept at a time."""
        count = 1
        while self._halves and self._halves[-1][0] == count:
            values, count = (self._halves.pop()[1] + values) / 2, 2 * count
        self._halves.append((count, values))

    def value(self) -> Tensor:
        """Return the mean of all that were added."""
        ((_, values),) = self._halves
        return values


def _line(curve: NoiseCurve, a: float, b: float) -> NoiseCurve:
    """Noise of variance a * signal + b over the range of a curve."""
    least = 0.03 * float(np.median(curve.std))
    return NoiseCurve.line(a, b, curve.signal[0], curve.signal[-1], max(least, 1e-15))
