"""What has to stay in a store, and the removal of the rest."""
