"""What Prefect does not do yet; the README beside this says why each file is there and when it can go."""
