"""Evaluation of models, by measures on which an unedited copy of the photo fails."""
