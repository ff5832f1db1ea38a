"""A trained model as one PyTorch module: raw pixels in, denoised pixels out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_selfdenoise.config import TrainingConfig
from napari_selfdenoise.export.blur import SmallBlur, with_plain_blurs
from napari_selfdenoise.export.padding import Span, cut, padded, span
from napari_selfdenoise.images import ROTATIONS, UNTURNED, Turn, turned, turned_back
from napari_selfdenoise.model import ChannelModel, TrainedModel, run
from napari_selfdenoise.parts.gaussian_mixtures import Mixture
from napari_selfdenoise.parts.likelihood import posterior
from napari_selfdenoise.parts.masking import Mask
from napari_selfdenoise.parts.noise_models import TabulatedModule


class ExportedModel(nn.Module):
    """Denoises images of any size, channel by channel.

    What `predict_tiles` makes of a whole plane, but for what it measures of an image:
    defects are not looked for, and no blend is chosen. Always in float32.

    Parameters
    ----------
    model : TrainedModel
        With an estimator that `exported_estimator` gives.

    References
    ----------
    Krull et al. 2019 (single pass); Krull et al. 2020 and Khademi et al. 2021
    (posterior); Goncharova et al. 2020 (deconvolved).
    """

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        self.channels = nn.ModuleList(
            nn.Identity() if channel.is_empty else ExportedChannel(channel, model)
            for channel in model.channels
        )
        self.eval().requires_grad_(False)

    @property
    def deconvolves(self) -> bool:
        """Whether there is a second result, the image before the blur."""
        return any(getattr(one, "optics", None) is not None for one in self.channels)

    def forward(self, raw: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Denoise images.

        Parameters
        ----------
        raw : Tensor
            (B, C, Y, X), raw units, float32, all finite.

        Returns
        -------
        Tensor or tuple of Tensor
            Denoised, in the same shape and units; with a point spread function, also
            deconvolved.
        """
        parts = [
            self._both(channel, raw[:, number : number + 1])
            for number, channel in enumerate(self.channels)
        ]
        denoised = torch.cat([first for first, _ in parts], dim=1)
        if not self.deconvolves:
            return denoised
        return denoised, torch.cat([second for _, second in parts], dim=1)

    def _both(self, channel: nn.Module, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Denoised and deconvolved; twice the image where nothing was learned."""
        if isinstance(channel, ExportedChannel):
            found: tuple[Tensor, Tensor] = channel(raw)
            return found
        return raw, raw


class ExportedChannel(nn.Module):
    """Network, posterior and normalisation of one channel.

    Parameters
    ----------
    channel : ChannelModel
        What is exported.
    model : TrainedModel
        That it belongs to.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, channel: ChannelModel, model: TrainedModel) -> None:
        super().__init__()
        config = model.config
        self.config = config
        # As numbers, the exporter takes them for places of the same value.
        self.register_buffer("offset", torch.tensor([channel.normalization.offset]))
        self.register_buffer("scale", torch.tensor([channel.normalization.scale]))
        self.margin, self.stride = model.margin, config.stride
        self.network = with_plain_blurs(channel.network)
        self.optics = channel.optics
        if channel.optics is not None:
            self.blur = SmallBlur(channel.optics.kernel)
        self.noise = (
            TabulatedModule(channel.noise_units(), channel.noise_curve)
            if config.estimator.fuses
            else None
        )
        self.turns = turns_of(config)

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Denoised and deconvolved images (B, 1, Y, X), raw units."""
        rows, columns = (span(raw, axis, self.margin, self.stride) for axis in (2, 3))
        image = (raw - self.offset) / self.scale
        outputs = self._outputs(self._padded(image, rows, columns), rows, columns)
        outputs = cut(outputs, rows, columns)
        denoised = outputs[:, :1]
        if self.noise is not None:
            denoised = self._fused(outputs, image)
        phantom = outputs[:, -1:]
        return (
            denoised * self.scale + self.offset,
            phantom * self.scale + self.offset,
        )

    def _padded(self, image: Tensor, rows: Span, columns: Span) -> Tensor:
        """Image with mirrored borders; zeros for a network that is blind itself."""
        wide = padded(image, rows, columns)
        if not self.config.network.blind:
            return wide
        inside = rows.is_inside[:, None] & columns.is_inside[None, :]
        return wide * inside.to(wide)

    def _outputs(self, image: Tensor, rows: Span, columns: Span) -> Tensor:
        """Mean, rest, phantom, averaged over all orientations, (B, C, Y, X)."""
        found = [
            turned_back(self._passes(image, rows, columns, turn), turn)
            for turn in self.turns
        ]
        return torch.stack(found).mean(0)

    def _passes(self, image: Tensor, rows: Span, columns: Span, turn: Turn) -> Tensor:
        """Outputs of one orientation; each pixel is masked where the estimator says."""
        height, width = self.config.masking.lattice
        count = height * width
        image = turned(image, turn)
        if not self.config.estimator.masks_pixels or count == 1:
            return self._run(image)
        number = (rows.source % height)[:, None] * width + columns.source % width
        number = turned(number[None, None], turn)
        passes = torch.arange(count, device=image.device).view(-1, 1, 1, 1)
        targets = number == passes  # (count, 1, Y, X)
        found = self._masked_run(image, targets)
        found = found.view(-1, count, *found.shape[1:])
        chosen: Tensor = (found * targets[None].to(found)).sum(1)
        return chosen

    def _masked_run(self, image: Tensor, targets: Tensor) -> Tensor:
        """Outputs of all passes, in each of which some pixels (N, 1, Y, X) are masked.

        All at once, (B * N, C, Y, X): a program of many passes takes minutes to write.
        """
        masking = self.config.masking
        batch, count = image.shape[0], targets.shape[0]
        image = image.expand(-1, count, -1, -1).flatten(0, 1).unsqueeze(1)
        targets = targets.repeat(batch, 1, 1, 1)
        nowhere = torch.zeros((1, 0), dtype=torch.long)
        mask = Mask(masking.masked_for(targets), nowhere)
        return self._run(masking.apply(image, mask, torch.Generator()))

    def _run(self, image: Tensor) -> Tensor:
        """Outputs of one pass: mean, rest and, with optics, phantom; normalised."""
        binning = self.config.masking.binning
        outputs = run(self.network, None, image, torch.float32, binning)
        if self.optics is None:
            return torch.cat(outputs[:2], dim=1)
        phantom = self.optics.phantom(outputs.phantom)
        return torch.cat([self.blur(phantom), outputs.rest, phantom], dim=1)

    def _fused(self, outputs: Tensor, image: Tensor) -> Tensor:
        """Posterior mean of each pixel, (B, 1, Y, X), normalised."""
        assert self.noise is not None
        head = self.config.signal
        values = outputs.permute(0, 2, 3, 1)
        prior: Mixture = head.prior(values[..., 0], values[..., 1 : head.outputs])
        known = posterior(prior, self.noise, image[:, 0], points=head.points)
        return known.expectation().unsqueeze(1)


def turns_of(config: TrainingConfig) -> Sequence[Turn]:
    """Orientations that are averaged, as a prediction does without an estimate."""
    every = config.masking.orientations if config.flips else (UNTURNED,)
    return every if len(every) <= len(ROTATIONS) else ROTATIONS
