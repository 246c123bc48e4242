"""What GloVe and PPMI-SVD are made from: co-occurrence counts read block by block, the PPMI matrix, its singular vectors."""
