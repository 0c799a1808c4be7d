"""The main job, played from end to end on real parts: `make demo`."""
