"""From a video or image file to the model's input."""
