"""The networks whose features metrics compare; each loads one named public weight file."""
