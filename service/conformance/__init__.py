"""The DICOM conformance statement (PS3.2) of the running version and configuration, made from the code's own tables."""
