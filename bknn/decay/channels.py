"""The decay channels, which stand in `bknn.channels`."""

from bknn.channels import CHANNELS, Channel, channel

__all__ = ["CHANNELS", "Channel", "channel"]
