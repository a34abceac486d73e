"""Bias correction: ``field(image, mask, ...) -> (field, lattice or None)``, the multiplicative bias field on the image's grid."""
