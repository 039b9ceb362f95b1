"""Motion and advection: optical flow, and carrying fields along it."""
