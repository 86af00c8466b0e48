"""A Triton server on this machine without a container: for trial and for tests. Production runs NVIDIA's image."""
