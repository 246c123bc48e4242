"""How the train stage trains: what is merged when, the model in memory, and who does the work."""
