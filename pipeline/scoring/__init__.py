"""What vectors are scored on: analogies and word similarity, the sets of both, and what their scores share."""
