"""How much of an estimate came from the pixel itself, and how much from its context."""

from __future__ import annotations

from torch import Tensor


def own_share(prior_variance: Tensor, posterior_variance: Tensor) -> Tensor:
    """Share of the estimate that came from the pixel's own observation, 0 to 1.

    The observation narrows the prior to the posterior: for Gaussians the ratio of both
    variances is the weight of the context in the posterior mean, so one minus it is the
    weight of the pixel.

    Parameters
    ----------
    prior_variance, posterior_variance : torch.Tensor
        Of equal shape, in squared grey values or any one unit.

    Returns
    -------
    torch.Tensor
        Of the same shape; 0 where the prior has no variance.
    """
    known = prior_variance > 0
    ratio = posterior_variance / prior_variance.where(
        known, prior_variance.new_ones(())
    )
    return (1 - ratio).clamp(0, 1).where(known, ratio.new_zeros(()))
