"""The service's image: built, run as a container is, and tried with a real CT (`make image`)."""
