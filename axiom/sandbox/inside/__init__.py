"""What runs on the far side of the boundary: one template process and the candidates it forks.

Only the standard library may be imported here, because nothing else exists where this runs.
"""
