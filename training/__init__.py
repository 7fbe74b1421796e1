"""Training of the canary: a tiny Video-LaVIT that has learned a procedural world. Not part of the installed package."""
