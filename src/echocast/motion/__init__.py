"""Motion and advection: optical flow, and carrying fields along it."""

from typing import Literal

Method = Literal["dis", "farneback", "both"]
"""How a dense flow is estimated, see `echocast.motion.flow.dense_flow`."""
