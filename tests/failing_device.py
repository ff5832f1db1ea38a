"""A device that fails in the middle of a training."""

from napari_selfdenoise.training.channel_trainer import ChannelTrainer


def fails_after(patch, passes, error):
    """Let the device fail at the pass that comes after so many."""
    accumulate, done = ChannelTrainer.accumulate, []

    def failing(self, patches, share):
        if len(done) == passes:
            raise error
        done.append(patches)
        return accumulate(self, patches, share)

    patch.setattr(ChannelTrainer, "accumulate", failing)
