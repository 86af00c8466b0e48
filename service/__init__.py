"""Thoracle: clinical inference for chest CT. Research use only. Not for diagnostic use."""

from importlib.metadata import version

__version__ = version("thoracle")
