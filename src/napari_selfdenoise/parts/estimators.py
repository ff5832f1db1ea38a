"""Estimators: what is made of a trained network's predictions."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Estimator(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    fuses: ClassVar[bool] = False
    """Whether the pixel's own value is combined with its prior by Bayes' rule."""

    blends: ClassVar[bool] = False
    """Whether other estimates are blended by how far each is from the signal."""

    takes_mode: ClassVar[bool] = False
    """Whether the most likely signal is the result, instead of the mean."""

    @property
    def masks_pixels(self) -> bool:
        """Whether each pixel is masked in its own prediction, in several passes."""
        return False

    @property
    def count(self) -> int:
        """Number of samples to draw a pixel."""
        return 0


class AutoEstimator(_Estimator):
    """The blend of several estimates that is closest to the signal.

    Predictions with and without the pixel, the posterior mean and the image itself are
    blended for each image, so that the error is smallest by Stein's unbiased risk
    estimate (SURE), which needs no reference. Even where noise is weak, the result is
    not worse than the input. Three times as slow as a single pass, twelve times where
    the noise is weak. Ramani et al. 2008.
    """

    model_config = ConfigDict(title="Automatic, recommended (SURE)")

    kind: Literal["auto"] = "auto"
    blends: ClassVar[bool] = True


class SinglePass(_Estimator):
    """The network's mean, from one pass over the image as it is.

    The fastest. A network that was trained with masks has learned to do without a
    pixel's own value, and makes some use of it all the same. Krull et al. 2019.
    """

    model_config = ConfigDict(title="Network as it is (single pass)")

    kind: Literal["single_pass"] = "single_pass"


class BlindMean(_Estimator):
    """The network's mean with each pixel masked in its own prediction.

    The image is predicted once for every place of a grid of masked pixels, nine times
    for single pixels. It shows what the context alone can tell.
    Batson and Royer 2019, Noise2Self.
    """

    model_config = ConfigDict(title="From the neighbours only (blind)")

    kind: Literal["blind_mean"] = "blind_mean"

    @property
    def masks_pixels(self) -> bool:
        """Whether each pixel is masked in its own prediction, in several passes."""
        return True


class _Posterior(_Estimator):
    fuses: ClassVar[bool] = True
    blind: bool = Field(
        True,
        title="Mask each pixel in its prior",
        description="Predict the prior without the pixel, in several passes, as "
        "Bayes' rule asks for. Off, as PN2V was published: one pass, in which the "
        "pixel counts a little twice.",
    )

    @property
    def masks_pixels(self) -> bool:
        """Whether each pixel is masked in its own prediction, in several passes."""
        return self.blind


class PosteriorMean(_Posterior):
    """The mean of the posterior: the smallest squared error (MMSE).

    Context and the pixel's own value, weighed by how sure each is. Gains
    10 · log10(1 + r) dB over the context alone, r being the ratio of its squared error
    to the noise's. Krull et al. 2020; Khademi et al. 2021.
    """

    model_config = ConfigDict(title="Neighbours and pixel (posterior mean)")

    kind: Literal["posterior_mean"] = "posterior_mean"


class PosteriorMode(_Posterior):
    """The most likely signal (MAP): sharper edges, a slightly larger squared error."""

    model_config = ConfigDict(title="Most likely value (posterior mode)")

    kind: Literal["posterior_mode"] = "posterior_mode"
    takes_mode: ClassVar[bool] = True


class PosteriorSamples(_Posterior):
    """Draws from the posterior as well as its mean: what else the signal may be.

    Pixels are drawn independently, so samples look grainy; their scatter is the
    posterior's std.
    """

    model_config = ConfigDict(title="With likely variants (posterior samples)")

    kind: Literal["posterior_samples"] = "posterior_samples"
    samples: int = Field(
        8,
        ge=1,
        le=64,
        title="Samples",
        description="Number of images to draw.",
    )

    @property
    def count(self) -> int:
        """Number of samples to draw a pixel."""
        return self.samples


Estimator = Annotated[
    SinglePass
    | BlindMean
    | PosteriorMean
    | PosteriorMode
    | PosteriorSamples
    | AutoEstimator,
    Field(discriminator="kind"),
]
