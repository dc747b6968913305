"""Train, validation and test, held out from each other by construction, and the proof that they are."""
