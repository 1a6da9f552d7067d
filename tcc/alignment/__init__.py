"""Which frame of one sequence goes with which of another: nearest neighbors, dynamic time warping. NumPy only."""

from tcc.alignment.distance import DISTANCES, pairwise_distances
from tcc.alignment.dynamic_time_warping import WarpingPath, dynamic_time_warping
from tcc.alignment.nearest_neighbor import nearest_neighbors

__all__ = ["DISTANCES", "WarpingPath", "dynamic_time_warping", "nearest_neighbors", "pairwise_distances"]
