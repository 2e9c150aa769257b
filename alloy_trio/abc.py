"""What a user may implement."""

from __future__ import annotations

from ._abc import DeltaSink, Provider

__all__ = ["DeltaSink", "Provider"]
