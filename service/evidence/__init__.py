"""Encoders of results: pure functions from a CT and its analysis to the bytes that are stored and sent."""
