"""Builds the objects that the processes work with, from the settings."""
