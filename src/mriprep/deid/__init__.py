"""De-identification: only what is known to be harmless is kept, everything else is left out."""
