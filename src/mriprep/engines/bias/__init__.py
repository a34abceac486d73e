"""Bias correction: ``field(image, mask, ...) -> Volume``, the multiplicative bias field on the image's grid."""
