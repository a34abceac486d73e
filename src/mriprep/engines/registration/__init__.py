"""Registration: ``estimate(fixed, moving, *, fixed_mask, moving_mask, ...) -> Transform``."""
