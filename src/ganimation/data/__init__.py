"""Data sets of aligned faces with AU intensities: the format on disk, and how one is made from a folder of photos."""
