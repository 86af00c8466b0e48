"""The demonstration: a real CT through the whole service, over real DICOM, on this machine."""
