"""Faces in photos: where they are, how they are cut out and put back, and which AUs they show."""
