"""Text and drawings that several commands print."""
