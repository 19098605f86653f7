"""Numbers of a job as pictures. Needs matplotlib, but neither a display nor pyplot's state."""
