"""The sample browser: runs on disk to pages of samples, from a local server or as a folder of files."""
