"""Text, tables and drawings that several commands write answers with."""
