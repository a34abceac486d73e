"""DICOM conversion: ``convert(files, ...) -> Volume``, one series to one volume."""
