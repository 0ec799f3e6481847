"""Tuned encoders that go elsewhere: as ONNX files, to the Hugging Face hub."""

from __future__ import annotations

from callspace.encoders.export.hub import push_to_hub
from callspace.encoders.export.onnx import export_onnx

__all__ = ["export_onnx", "push_to_hub"]
