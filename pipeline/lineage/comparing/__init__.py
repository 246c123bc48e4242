"""What differs between two models, runs or artifacts, and how far vectors moved."""
