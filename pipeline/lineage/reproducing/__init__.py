"""Making something again from manifests alone, and comparing the bytes."""
