"""Settings become the objects that the processes work with."""
