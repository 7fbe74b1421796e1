"""Video-LaVIT: one module per part of the model; parameter names are those of the public checkpoint."""
