"""Smooth by the mean over a disk."""

import cv2
import numpy as np
import xarray as xr

from echocast.errors import DataError


def disk(field: xr.DataArray, *, radius: float) -> xr.DataArray:
    """Each cell becomes the mean of the observed cells within `radius` cells of it (a circular averaging filter)."""
    if not 0 < radius < 500:
        raise DataError(f"disk radius={radius:g}: the radius in cells must be above 0 and below 500")
    reach = int(np.floor(radius))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = (dy**2 + dx**2 <= radius**2).astype(np.float32)
    smooth = np.empty_like(field.values)
    for number, frame in enumerate(field.values):
        observed = np.isfinite(frame)
        total, weight = (
            cv2.filter2D(part.astype(np.float32), cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
            for part in (np.where(observed, frame, 0.0), observed)
        )
        smooth[number] = np.where(observed, np.maximum(total, 0.0) / np.maximum(weight, 1.0), np.nan)
    return field.copy(data=smooth)
