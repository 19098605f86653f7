"""ONNX: raw rows go in, and answers come out; features, scaling and class names are inside.

Everything is computed in float64. Operators that ONNX Runtime has only in float32 (softplus, erf
and leaky relu) are spelled out in others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import Chebyshev
from numpy.polynomial.polynomial import Polynomial

from engine.arrays import Array
from engine.data.preprocessing import Preprocessing
from engine.export import protobuf
from engine.export.model import TrainedModel
from engine.export.protobuf import FLOAT64, INT64, STRING
from engine.export.python_source import starts_of, terms_of
from engine.networks.forward import LayerParameters
from engine.spec.features import Cell, Constant, Power, Product, Term, Wave

OPSETS = {"": 13, "ai.onnx.ml": 2}
IR_VERSION = 7
NUMBERS = "numbers"
RESERVED = {NUMBERS, "value", "class", "score", "probabilities"}


def write(model: TrainedModel) -> bytes:
    """The bytes of an .onnx file, for opset 13 or newer.

    Inputs:
        numbers: float64 [N, columns], all columns of numbers and booleans in their order; a gap
            is NaN. It is absent where there are only columns of texts.
        (the name of each column of texts): string [N, 1]. A text that the training did not have
            is a gap. A column that is called like another input or an output has a "_" more.

    Outputs:
        value: float64 [N], in the target's unit, of a regression; or
        class: string [N], empty where the outputs are not finite, and
        probabilities: float64 [N, classes] in the order of the classes, or of `max_margin`
        score: float64 [N].

    The metadata hold the preprocessing with the names of columns and classes as JSON.
    """
    graph = Graph(model.preprocessing)
    inputs = scaled(graph, model.preprocessing, encoded(graph, model.preprocessing))
    outputs = inputs
    for layer in model.layers:
        outputs = layer_of(graph, layer, outputs)
    answers(graph, model.preprocessing, outputs, len(model.layers[-1].biases))
    metadata = model.metadata()
    del metadata["format"]  # of the tensors in safetensors
    return protobuf.model(graph.message(), OPSETS, IR_VERSION, metadata)


class Graph:
    """Nodes in the order in which they are computed, each known by the name of its output."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.nodes: list[bytes] = []
        self.constants: list[bytes] = []
        self.inputs: list[bytes] = []
        self.outputs: list[bytes] = []
        self.names = input_names(preprocessing)
        self.prefix = "_"
        while any(name.startswith(self.prefix) for name in self.names.values()):
            self.prefix += "_"

    def __call__(
        self,
        operator: str,
        *inputs: str,
        output: str | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Adds a node; returns the name of its output."""
        name = output or f"{self.prefix}{operator}_{len(self.nodes)}"
        self.nodes.append(protobuf.node(operator, inputs, name, attributes, domain))
        return name

    def constant(self, value: protobuf.Constant | float) -> str:
        name = f"{self.prefix}constant_{len(self.constants)}"
        array = np.array(value, dtype=np.float64) if isinstance(value, float) else value
        self.constants.append(protobuf.tensor(name, array))
        return name

    def input(self, name: str, element: int, width: int) -> str:
        self.inputs.append(protobuf.value_info(name, element, width))
        return name

    def output(self, name: str, element: int, width: int | None) -> None:
        self.outputs.append(protobuf.value_info(name, element, width))

    def columns(self, table: str, positions: Sequence[int]) -> str:
        return self("Gather", table, self.constant(np.array(positions, dtype=np.int64)), axis=1)

    def message(self) -> bytes:
        return protobuf.graph("model", self.nodes, self.constants, self.inputs, self.outputs)


def input_names(preprocessing: Preprocessing) -> dict[str, str]:
    """The name of the input of each column of texts: its own, unless that means something else."""
    found: dict[str, str] = {}
    for column in preprocessing.columns:
        if column.type == "text":
            name = column.name or "_"
            while name in RESERVED or name in found.values():
                name += "_"
            found[column.name] = name
    return found


def encoded(graph: Graph, preprocessing: Preprocessing) -> str:
    """The columns as numbers, one per category of a text, gaps filled."""
    columns = preprocessing.columns
    numeric = [column for column in columns if column.type != "text"]
    if numeric:
        graph.input(NUMBERS, FLOAT64, len(numeric))
    if len(numeric) == len(columns):
        found = NUMBERS
    else:
        blocks, seen = [], 0
        for text, group in groupby(columns, lambda column: column.type == "text"):
            members = list(group)
            if text:
                blocks += [
                    one_hot(graph, graph.names[column.name], column.categories)
                    for column in members
                ]
            else:
                blocks.append(graph.columns(NUMBERS, range(seen, seen + len(members))))
                seen += len(members)
        found = graph("Concat", *blocks, axis=1)
    if preprocessing.means is not None:
        means = graph.constant(preprocessing.means)
        found = graph("Where", graph("IsNaN", found), means, found)
    return found


def one_hot(graph: Graph, name: str, categories: Sequence[str]) -> str:
    text = graph.input(name, STRING, 1)
    positions = np.arange(len(categories), dtype=np.int64)
    position = graph(
        "LabelEncoder",
        text,
        domain="ai.onnx.ml",
        keys_strings=list(categories),
        values_int64s=positions.tolist(),
        default_int64=-1,
    )
    same = graph("Equal", position, graph.constant(positions))
    gap = graph("Equal", position, graph.constant(np.array([-1], dtype=np.int64)))
    return graph("Where", gap, graph.constant(math.nan), graph("Cast", same, to=FLOAT64))


def scaled(graph: Graph, preprocessing: Preprocessing, table: str) -> str:
    """The inputs of the first layer."""
    found = table
    if preprocessing.features is not None:
        starts = starts_of(preprocessing.columns)
        terms = [term_of(graph, table, term, starts) for term in terms_of(preprocessing)]
        found = graph("Concat", *terms, axis=1)
    scaling = preprocessing.scaling
    if scaling.input_mean.any():
        found = graph("Sub", found, graph.constant(scaling.input_mean))
    if (scaling.input_scale != 1.0).any():
        found = graph("Div", found, graph.constant(scaling.input_scale))
    return found


def term_of(graph: Graph, table: str, term: Term, starts: list[int]) -> str:
    """A feature as N × 1; of a column of texts as N × categories."""
    match term:
        case Cell(column):
            return graph.columns(table, range(starts[column], starts[column + 1]))
        case Constant(value):
            return graph.constant(value)
        case Power(base, exponent):
            return multiplied(graph, [term_of(graph, table, base, starts)] * exponent)
        case Product(factors):
            return multiplied(graph, [term_of(graph, table, f, starts) for f in factors])
        case Wave(function, of):
            operator = "Sin" if function == "sin" else "Cos"
            return graph(operator, term_of(graph, table, of, starts))


def multiplied(graph: Graph, factors: list[str]) -> str:
    found = factors[0]
    for factor in factors[1:]:
        found = graph("Mul", found, factor)
    return found


def layer_of(graph: Graph, layer: LayerParameters, inputs: str) -> str:
    weights = graph.constant(np.ascontiguousarray(layer.weights))
    biases = graph.constant(np.ascontiguousarray(layer.biases))
    sums = graph("Gemm", inputs, weights, biases, transB=1)
    return activated(graph, layer.activation, sums)


def activated(graph: Graph, activation: str, x: str) -> str:
    match activation:
        case "linear":
            return x
        case "relu" | "tanh" | "sigmoid" | "sin":
            return graph(activation.capitalize(), x)
        case "leaky_relu":
            return graph("Max", x, graph("Mul", x, graph.constant(0.01)))
        case "softplus":
            # max(x, 0) + log(1 + exp(-|x|))
            small = graph("Exp", graph("Neg", graph("Abs", x)))
            log = graph("Log", graph("Add", graph.constant(1.0), small))
            return graph("Add", graph("Relu", x), log)
        case "gelu":
            return graph("Mul", x, normal_cdf(graph, x))
    raise ValueError(f"the activation {activation} cannot be written as ONNX yet")


FARTHEST = 6.0
"""erfc of it is 2e-17."""
DEGREE = 26


def normal_cdf(graph: Graph, x: str) -> str:
    """Φ(x) = erfc(-x/√2)/2, and erfc(z) = t·exp(P(t) - z²) with t = 1/(1 + z/2) for z ≥ 0.

    P is interpolated at Chebyshev's points; the error of Φ is below 1e-14.
    """
    z = graph("Mul", graph("Abs", x), graph.constant(math.sqrt(0.5)))
    near = graph("Min", z, graph.constant(FARTHEST))
    half = graph("Mul", near, graph.constant(0.5))
    t = graph("Div", graph.constant(1.0), graph("Add", half, graph.constant(1.0)))
    polynomial = exponent_polynomial()
    # From [t at FARTHEST, 1] to [-1, 1], where powers stay small.
    offset, slope = polynomial.mapparms()
    u = graph("Add", graph("Mul", t, graph.constant(float(slope))), graph.constant(float(offset)))
    last = np.array([2], dtype=np.int64)
    powers = graph(
        "Pow",
        graph("Unsqueeze", u, graph.constant(last)),
        graph.constant(np.arange(len(polynomial.coef), dtype=np.float64)),
    )
    exponent = graph("MatMul", powers, graph.constant(np.array(polynomial.coef, dtype=np.float64)))
    tail = graph("Mul", t, graph("Exp", graph("Sub", exponent, graph("Mul", z, z))))
    tail = graph("Mul", tail, graph.constant(0.5))
    above = graph("Sub", graph.constant(1.0), tail)
    return graph("Where", graph("Greater", x, graph.constant(0.0)), above, tail)


def exponent_polynomial() -> Polynomial:
    """P(t) = log(erfc(z)/t) + z²."""

    def exact(ts: Array) -> Array:
        zs = (2.0 / ts - 2.0).tolist()
        return np.array(
            [math.log(math.erfc(z) / t) + z * z for z, t in zip(zs, ts.tolist(), strict=True)]
        )

    domain = [1.0 / (1.0 + 0.5 * FARTHEST), 1.0]
    found: Polynomial = Chebyshev.interpolate(exact, DEGREE, domain=domain).convert(
        kind=Polynomial, domain=domain, window=[-1.0, 1.0]
    )
    return found


def answers(graph: Graph, preprocessing: Preprocessing, outputs: str, units: int) -> None:
    """The outputs of the whole model."""
    classes, kind = preprocessing.output.classes, preprocessing.output.kind
    flat = graph.constant(np.array([-1], dtype=np.int64))
    if classes is None:
        scaling = preprocessing.scaling
        value = graph("Mul", outputs, graph.constant(scaling.target_scale))
        value = graph("Add", value, graph.constant(scaling.target_mean))
        graph("Reshape", value, flat, output="value")
        graph.output("value", FLOAT64, None)
        return
    if kind == "softmax":
        position = graph("ArgMax", outputs, axis=1, keepdims=0)
    else:
        positive = graph("Greater", outputs, graph.constant(0.0))
        position = graph("Reshape", graph("Cast", positive, to=INT64), flat)
    # x - x is NaN where x is not finite, and the name after the last class is empty.
    nothing = graph(
        "ReduceSum",
        graph("Sub", outputs, outputs),
        graph.constant(np.array([1], dtype=np.int64)),
        keepdims=0,
    )
    last = graph.constant(np.array([len(classes)], dtype=np.int64))
    position = graph("Where", graph("IsNaN", nothing), last, position)
    graph("Gather", graph.constant([*classes, ""]), position, output="class", axis=0)
    graph.output("class", STRING, None)
    if kind == "score":
        graph("Reshape", outputs, flat, output="score")
        graph.output("score", FLOAT64, None)
        return
    if kind == "softmax":
        graph("Softmax", outputs, output="probabilities", axis=1)
    else:
        first = graph("Sigmoid", graph("Neg", outputs))
        graph("Concat", first, graph("Sigmoid", outputs), output="probabilities", axis=1)
    graph.output("probabilities", FLOAT64, len(classes))
