"""Features: inputs computed from columns, such as `x^2`, `x*y` and `sin(x)`.

A feature is a product of columns, numbers, whole powers, sines and cosines. Sums are left to the
network, which adds up its inputs anyway. Columns are written by their names as they are, blanks
and signs included: `petal length (cm)^2`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from engine.spec.columns import Column

MAX_POWER = 9
MAX_DEPTH = 9
"""Parentheses within parentheses."""
MAX_NAMES = 20
"""Columns that an error names."""

NUMBER = re.compile(r"\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+")
WORD = re.compile(r"[^\W\d](?:(?![²³])[\w.])*")
TIMES = "*·×"
SQUARES = {"²": 2, "³": 3}


class FeatureError(ValueError):
    """A feature that cannot be computed; the message says why and what can be written."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The number in a column; of a column of texts all its inputs."""

    column: int


@dataclass(frozen=True, slots=True)
class Constant:
    value: float


@dataclass(frozen=True, slots=True)
class Power:
    """base · base · …, `exponent` times, multiplied from left to right."""

    base: Term
    exponent: int


@dataclass(frozen=True, slots=True)
class Product:
    """The factors, multiplied from left to right."""

    factors: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Wave:
    function: Literal["sin", "cos"]
    of: Term


Term = Cell | Constant | Power | Product | Wave


class Names:
    """The columns by their names."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = columns
        self.words: dict[str, int] = {}
        self.others: list[tuple[str, int]] = []
        for i, column in enumerate(columns):
            if WORD.fullmatch(column.name):
                self.words[column.name] = i
            elif column.name:
                self.others.append((column.name, i))
        # A longer name first, so that of "x" and "x^2" the text "x^2" is the second column.
        self.others.sort(key=lambda pair: -len(pair[0]))


def parse(text: str, names: Names) -> Term:
    """The formula of a feature.

    Raises:
        FeatureError: it cannot be read, or needs a column that there is not.
    """
    return Parser(text, names).feature()


def inputs_of(term: Term, columns: Sequence[Column]) -> int:
    """How many inputs a feature becomes: one, or one per category of a column of texts."""
    return columns[term.column].inputs if isinstance(term, Cell) else 1


def bound(term: Term, largest: float) -> float:
    """The largest size of a feature of cells that are no larger than `largest`."""
    match term:
        case Cell():
            return largest
        case Constant(value):
            return abs(value)
        case Wave():
            return 1.0
        case Power(base, exponent):
            return math.prod([bound(base, largest)] * exponent)
        case Product(factors):
            return math.prod(bound(factor, largest) for factor in factors)


class Parser:
    """Reads one feature from left to right."""

    def __init__(self, text: str, names: Names) -> None:
        self.text = text
        self.names = names
        self.columns = names.columns
        self.position = 0
        self.depth = 0

    def feature(self) -> Term:
        term = self.product()
        self.blanks()
        if self.position < len(self.text):
            rest = self.text[self.position :]
            if rest[0] in "+-/":
                raise FeatureError(
                    f"{rest[0]!r} cannot be part of a feature, which is a product such as x*y; "
                    "write the parts as features of their own"
                )
            raise FeatureError(f"{self.text!r} cannot be read from {rest!r} on; {self.known()}")
        if not cells_of(term):
            raise FeatureError(f"{self.text!r} is the same in every row; {self.known()}")
        if not isinstance(term, Cell):
            self.refuse_texts(term)
        return term

    def product(self) -> Term:
        factors = [self.factor()]
        while any(self.takes(sign) for sign in TIMES):
            factors.append(self.factor())
        return factors[0] if len(factors) == 1 else Product(tuple(factors))

    def factor(self) -> Term:
        base = self.base()
        while True:
            self.blanks()
            sign = self.text[self.position : self.position + 1]
            if sign in SQUARES and sign:
                self.position += 1
                base = Power(base, SQUARES[sign])
            elif self.takes("**") or self.takes("^"):
                base = Power(base, self.exponent())
            else:
                return base

    def exponent(self) -> int:
        self.blanks()
        found = NUMBER.match(self.text, self.position)
        written = found[0] if found else ""
        if not written.isdigit() or not 1 <= int(written) <= MAX_POWER:
            raise FeatureError(
                f"the exponents of {self.text!r} must be whole numbers from 1 to {MAX_POWER}"
            )
        self.position += len(written)
        return int(written)

    def base(self) -> Term:
        self.blanks()
        word = WORD.match(self.text, self.position)
        called = word is not None and self.text[word.end() :].lstrip().startswith("(")
        for name, i in self.names.others:
            if self.text.startswith(name, self.position) and self.ends(name):
                self.position += len(name)
                return Cell(i)
        if word is not None and called:
            self.position = word.end()
            return self.wave(word[0])
        if word is not None and word[0] in self.names.words:
            self.position = word.end()
            return Cell(self.names.words[word[0]])
        if self.takes("("):
            return self.closed()
        number = NUMBER.match(self.text, self.position)
        if number is not None and word is None:
            self.position = number.end()
            return Constant(float(number[0]))
        wrong = word[0] if word is not None else self.text[self.position :][:1] or "the end"
        raise FeatureError(f"{wrong!r} in {self.text!r} is not a column; {self.known()}")

    def wave(self, function: str) -> Term:
        self.takes("(")
        if function not in ("sin", "cos"):
            raise FeatureError(f"{function!r} is not a function; there are sin and cos")
        return Wave("sin" if function == "sin" else "cos", self.closed())

    def closed(self) -> Term:
        """A product and the parenthesis that closes it."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FeatureError(f"{self.text!r} has too many parentheses")
        inner = self.product()
        self.depth -= 1
        if not self.takes(")"):
            raise FeatureError(f"{self.text!r} lacks a closing parenthesis")
        return inner

    def ends(self, name: str) -> bool:
        """Whether the name is not only the beginning of a longer word."""
        after = self.text[self.position + len(name) :][:1]
        return not (is_word(name[-1]) and is_word(after))

    def blanks(self) -> None:
        while self.text[self.position : self.position + 1].isspace():
            self.position += 1

    def takes(self, sign: str) -> bool:
        """Goes past the sign if it comes next."""
        self.blanks()
        found = self.text.startswith(sign, self.position)
        self.position += len(sign) if found else 0
        return found

    def refuse_texts(self, term: Term) -> None:
        for i in cells_of(term):
            if self.columns[i].type == "text":
                name = self.columns[i].name
                raise FeatureError(
                    f"{name} holds texts, which have no powers, products or sines; "
                    f"use {name} by itself, which gives one input per text"
                )

    def known(self) -> str:
        names = [column.name for column in self.columns]
        shown = ", ".join(names[:MAX_NAMES]) + (", …" if len(names) > MAX_NAMES else "")
        return f"the columns are {shown}"


def cells_of(term: Term) -> list[int]:
    """The columns that a term reads."""
    match term:
        case Cell(column):
            return [column]
        case Constant():
            return []
        case Power(base, _):
            return cells_of(base)
        case Wave(_, of):
            return cells_of(of)
        case Product(factors):
            return [i for factor in factors for i in cells_of(factor)]


def is_word(character: str) -> bool:
    return (character.isalnum() and character not in SQUARES) or character == "_"
