"""One module and one stylesheet a screen; `base` holds what they share."""
