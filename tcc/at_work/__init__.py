"""A trained model at work: in a folder of its own, on videos that no pipeline has seen. Importing this imports nothing."""
