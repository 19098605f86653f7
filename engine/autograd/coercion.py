"""What counts as a number, and its float64.

NumPy is recognised by its attributes, so that a notebook without NumPy does not load it.
"""

from __future__ import annotations

from numbers import Real

NUMERIC_KINDS = frozenset("biuf")
"""NumPy's booleans, integers, unsigned integers and floats; not text, dates or complex numbers."""


def is_number(x: object) -> bool:
    """Whether `x` is a real number: one of Python's, or NumPy's with no dimensions."""
    if isinstance(x, (float, int, Real)):
        return True
    kind = getattr(getattr(x, "dtype", None), "kind", None)
    return kind in NUMERIC_KINDS and getattr(x, "shape", None) == ()


def number(x: object, name: str) -> float:
    """`x` as a Python float; TypeError, naming what it was for, where it is not one number."""
    if type(x) is float:
        return x
    if is_number(x):
        return float(x)  # type: ignore[arg-type]
    if hasattr(x, "dtype"):
        # Of arrays, only those that are single numbers passed; tensors of other libraries have
        # another kind of dtype.
        if getattr(x, "shape", None) == () and not hasattr(x.dtype, "kind"):
            return float(x)  # type: ignore[arg-type]
    elif hasattr(x, "__float__") and not hasattr(x, "_prev"):
        return float(x)
    raise TypeError(f"{name} must be one real number, not {described(x)}")


def described(x: object) -> str:
    """What `x` is, for an error message."""
    shape = getattr(x, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"an array of shape {shape}"
    if x is None:
        return "None"
    if isinstance(x, (str, bytes)):
        return f"the text {x[:20]!r}"
    article = "an" if type(x).__name__[0] in "aeiou" else "a"
    return f"{article} {type(x).__name__}"
