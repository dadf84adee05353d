"""What a figure really shows: finite marks inside its axes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection, LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch
from numpy.typing import NDArray

Array = NDArray[np.float64]


def points_of(ax: Axes) -> dict[str, Array]:
    """Points (n, 2) of every artist with a gid, in coordinates of the data."""
    found: dict[str, list[Array]] = {}
    for artist in ax.get_children():
        gid = artist.get_gid()
        if gid is None:
            continue
        if isinstance(artist, Line2D):
            points = np.asarray(artist.get_xydata(), dtype=np.float64)
            if artist.get_transform() != ax.transData:  # a line across the axes
                points = points[:, :1] if points[0, 0] == points[-1, 0] else points[:, 1:]
                points = np.repeat(points, 2, axis=1)
        elif isinstance(artist, PathCollection):
            points = np.asarray(artist.get_offsets(), dtype=np.float64)
        elif isinstance(artist, LineCollection):
            segments = artist.get_segments()
            points = np.concatenate(segments) if segments else np.empty((0, 2))
        elif isinstance(artist, Collection):
            points = np.concatenate([p.vertices for p in artist.get_paths()])
        elif isinstance(artist, StepPatch):
            values, edges, _ = artist.get_data()
            points = np.column_stack([edges[:-1], values])
        elif isinstance(artist, AxesImage):
            values = np.ma.getdata(artist.get_array()).astype(np.float64).ravel()
            points = np.column_stack([values, values])
        else:
            points = np.zeros((1, 2)) if getattr(artist, "get_text", str)() else np.empty((0, 2))
        found.setdefault(gid, []).append(points)
    return {gid: np.concatenate(parts) for gid, parts in found.items()}


def assert_shows_something(figure: Figure) -> None:
    """Raise unless every panel has marks, all of which are numbers, and the canvas can be drawn."""
    figure.draw_without_rendering()
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    assert panels, "no panel"
    for ax in panels:
        points = points_of(ax)
        where = f"panel {ax.get_title(loc='left')!r}: {sorted(points)}"
        assert sum(len(p) for p in points.values()) > 0, f"{where} is empty"
        for gid, values in points.items():
            assert np.isfinite(values).all() or gid == "correlations", f"{where}, {gid}: not finite"
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        assert np.isfinite([left, right, bottom, top]).all(), where
        assert left != right, where
        assert bottom != top, where
