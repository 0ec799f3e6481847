"""What is labelled: recordings, annotations, windows, splits, and the readers that make them from people's files."""

from callspace.datasets.dataset import SPLITS, Dataset
from callspace.datasets.load import load_dataset

__all__ = ["SPLITS", "Dataset", "load_dataset"]
