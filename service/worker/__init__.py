"""What a worker does: find complete studies, walk each along the one path, deliver its results."""
