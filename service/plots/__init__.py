"""Numbers of a job as pictures.

The API, the worker and the command draw SVG with `svg`, `axes` and a module per picture, without
matplotlib. `loss_curve` and `decision_boundary` draw PNG with it, for the demo; they need neither a
display nor pyplot's state.
"""
