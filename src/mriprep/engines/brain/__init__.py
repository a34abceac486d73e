"""Brain extraction: ``probability(image, ...) -> Volume``, a probability map on the image's grid."""
