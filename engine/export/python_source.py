"""Plain Python: the network as one readable file that needs nothing but `math`."""

from __future__ import annotations

from collections.abc import Sequence

from engine.data.preprocessing import Preprocessing
from engine.export.model import TrainedModel
from engine.spec.columns import Column
from engine.spec.features import Cell, Constant, Names, Power, Product, Term, Wave, parse

ACTIVATIONS = {
    "linear": "    return x",
    "relu": "    return 0.0 if x <= 0.0 else x",
    "leaky_relu": "    return x if x > 0.0 else 0.01 * x",
    "tanh": "    return math.tanh(x)",
    "sigmoid": """\
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)""",
    "softplus": "    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))",
    "gelu": "    return x * (0.5 * math.erfc(-x * math.sqrt(0.5)))",
    "sin": "    return math.sin(x) if math.isfinite(x) else math.nan",
    "cos": "    return math.cos(x) if math.isfinite(x) else math.nan",
}
"""The body of each function of `x` that a file may need; those of `sin` and `cos` serve features
too."""

FORWARD = """\
def forward(values):
    \"\"\"Each neuron is activation(b + w0*x0 + w1*x1 + ...), summed in this order.\"\"\"
    for activation, neurons in LAYERS:
        outputs = []
        for weights, bias in neurons:
            total = bias
            for w, x in zip(weights, values):
                total += w * x
            outputs.append(activation(total))
        values = outputs
    return values"""

CELLS = """\
def cells(row):
    \"\"\"A number per column, the position of a category, or NaN for a gap.\"\"\"
    if isinstance(row, dict):
        unknown = [name for name in row if name not in COLUMNS and name not in IGNORED]
        if unknown:
            raise ValueError(f"there is no column {unknown[0]!r}; the columns are {COLUMNS}")
        row = [row.get(name) for name in COLUMNS]
    if len(row) != len(COLUMNS):
        raise ValueError(f"a row has {len(COLUMNS)} values, one for each of {COLUMNS}")
    found = []
    for name, value in zip(COLUMNS, row):
        if value is None and not FILLS_GAPS:
            raise ValueError(f"the row has no value for {name}")
        if value is None:
            found.append(math.nan)
        elif name in CATEGORIES:
            if str(value) not in CATEGORIES[name]:
                raise ValueError(f"{value!r} is not one of {name}: {CATEGORIES[name]}")
            found.append(float(CATEGORIES[name].index(str(value))))
        else:
            found.append(float(value))
    return found"""

ANSWERS = {
    "value": """\
    (output,) = forward(inputs(row))
    value = output * TARGET_SCALE + TARGET_MEAN
    return {"value": value if math.isfinite(value) else None}""",
    "score": """\
    (score,) = forward(inputs(row))
    if not math.isfinite(score):
        return {"class": None, "score": None}
    return {"class": CLASSES[score > 0.0], "score": score}""",
    "sigmoid": """\
    (logit,) = forward(inputs(row))
    if not math.isfinite(logit):
        return {"class": None, "probabilities": None}
    probabilities = [sigmoid(-logit), sigmoid(logit)]
    return {"class": CLASSES[logit > 0.0], "probabilities": dict(zip(CLASSES, probabilities))}""",
    "softmax": """\
    logits = forward(inputs(row))
    if not all(map(math.isfinite, logits)):
        return {"class": None, "probabilities": None}
    top = max(logits)
    total = math.log(sum(math.exp(x - top) for x in logits))
    probabilities = [math.exp(x - top - total) for x in logits]
    chosen = CLASSES[logits.index(top)]
    return {"class": chosen, "probabilities": dict(zip(CLASSES, probabilities))}""",
}
"""The body of `predict` per kind of output."""

SHAPES = {
    "value": '{"value": number}',
    "score": '{"class": name, "score": number}',
    "sigmoid": '{"class": name, "probabilities": {name: number, ...}}',
    "softmax": '{"class": name, "probabilities": {name: number, ...}}',
}


def write(model: TrainedModel) -> bytes:
    """A module with a function `predict(row)`, for Python 3.8 or newer.

    A row is a list in the order of the columns, or a dict by their names. The answer is that of
    `engine.inference.predict`; sums are made in the same order.
    """
    preprocessing = model.preprocessing
    kind = preprocessing.output.kind
    predict = f'def predict(row):\n    """The answer to one row: {SHAPES[kind]}."""\n'
    parts = [
        header(model),
        "import math",
        "",
        "",
        predict + ANSWERS[kind],
        inputs_function(preprocessing),
        CELLS,
        FORWARD,
        *functions(model),
    ]
    head = "\n".join(parts[:4])
    code = "\n\n\n".join(parts[4:])
    return f"{head}\n{code}\n\n\n{constants(preprocessing)}\n{layers(model)}".encode()


def header(model: TrainedModel) -> str:
    origin, output = model.origin, model.preprocessing.output
    # repr: a name may hold anything, a line feed too.
    name = "" if origin.name is None else f" {origin.name!r}"
    loss = f"loss {output.loss_kind}"
    if origin.loss is not None:
        loss += f" {origin.loss!r} {output.loss_unit}"
    return (
        f"# A network trained by gradserve{name}, as plain Python.\n"
        f"# Job {origin.job}, step {origin.step}, {loss}.\n"
        "#\n"
        "# predict(row) takes a list in the order of COLUMNS, or a dict by column name."
    )


def functions(model: TrainedModel) -> list[str]:
    """The functions that the layers, the features and the answer need."""
    needed = {layer.activation for layer in model.layers}
    if model.preprocessing.output.kind == "sigmoid":
        needed.add("sigmoid")
    for term in terms_of(model.preprocessing):
        needed |= waves(term)
    return [f"def {name}(x):\n{body}" for name, body in ACTIVATIONS.items() if name in needed]


def inputs_function(preprocessing: Preprocessing) -> str:
    """`inputs(row)`: encoded, filled, computed and scaled, as the training did it."""
    lines = [
        "def inputs(row):",
        '    """The numbers that go into the first layer."""',
        "    values = cells(row)",
    ]
    if any(column.type == "text" for column in preprocessing.columns):
        lines += [
            "    encoded = []",
            "    for name, value in zip(COLUMNS, values):",
            "        if name not in CATEGORIES:",
            "            encoded.append(value)",
            "        for i in range(len(CATEGORIES.get(name, ()))):",
            "            encoded.append(value if math.isnan(value) else float(value == i))",
            "    values = encoded",
        ]
    if preprocessing.means is not None:
        lines.append("    values = [m if math.isnan(x) else x for x, m in zip(values, MEANS)]")
    if preprocessing.features is not None:
        starts = starts_of(preprocessing.columns)
        lines.append("    values = [")
        texts = preprocessing.features
        for text, term in zip(texts, terms_of(preprocessing), strict=True):
            lines.append(f"        {feature(term, preprocessing.columns, starts)},  # {text!r}")
        lines.append("    ]")
    lines.append("    return [(x - m) / s for x, m, s in zip(values, INPUT_MEAN, INPUT_SCALE)]")
    return "\n".join(lines)


def terms_of(preprocessing: Preprocessing) -> list[Term]:
    names = Names(preprocessing.columns)
    return [parse(text, names) for text in preprocessing.features or ()]


def starts_of(columns: Sequence[Column]) -> list[int]:
    """The position of each column's first number among the encoded ones."""
    starts = [0]
    for column in columns:
        starts.append(starts[-1] + column.inputs)
    return starts


def feature(term: Term, columns: Sequence[Column], starts: list[int]) -> str:
    """An element of a list display; a column of texts is all of its numbers."""
    if isinstance(term, Cell) and columns[term.column].type == "text":
        return f"*values[{starts[term.column]}:{starts[term.column + 1]}]"
    return expression(term, starts)


def expression(term: Term, starts: list[int]) -> str:
    """Python's text for a term, with products from left to right."""
    match term:
        case Cell(column):
            return f"values[{starts[column]}]"
        case Constant(value):
            return repr(value)
        case Power(base, exponent):
            return " * ".join([grouped(base, starts)] * exponent)
        case Product(factors):
            return " * ".join(grouped(factor, starts) for factor in factors)
        case Wave(function, of):
            return f"{function}({expression(of, starts)})"


def grouped(term: Term, starts: list[int]) -> str:
    text = expression(term, starts)
    return f"({text})" if isinstance(term, Power | Product) else text


def waves(term: Term) -> set[str]:
    """The functions that a term calls."""
    match term:
        case Wave(function, of):
            return {function} | waves(of)
        case Power(base, _):
            return waves(base)
        case Product(factors):
            return set().union(*map(waves, factors))
    return set()


def constants(preprocessing: Preprocessing) -> str:
    """What the model remembers of its data."""
    scaling, output = preprocessing.scaling, preprocessing.output
    categories = {c.name: list(c.categories) for c in preprocessing.columns if c.type == "text"}
    named = {
        "COLUMNS": [column.name for column in preprocessing.columns],
        "IGNORED": [*preprocessing.ignored, preprocessing.target],
        "CATEGORIES": categories,
        "FILLS_GAPS": preprocessing.means is not None,
    }
    if preprocessing.means is not None:
        named["MEANS"] = preprocessing.means.tolist()
    named["INPUT_MEAN"] = scaling.input_mean.tolist()
    named["INPUT_SCALE"] = scaling.input_scale.tolist()
    if output.classes is None:
        named |= {"TARGET_MEAN": scaling.target_mean, "TARGET_SCALE": scaling.target_scale}
    else:
        named["CLASSES"] = list(output.classes)
    return "".join(f"{name} = {value!r}\n" for name, value in named.items())


def layers(model: TrainedModel) -> str:
    """`LAYERS`: per layer its activation and its neurons, a line per neuron."""
    lines = ["# Per layer its activation and its neurons: ([weights], bias).", "LAYERS = ["]
    for layer in model.layers:
        units, inputs = layer.weights.shape
        lines.append(f"    ({layer.activation}, [  # {inputs} inputs, {units} units")
        for weights, bias in zip(layer.weights.tolist(), layer.biases.tolist(), strict=True):
            lines.append(f"        ({weights!r}, {bias!r}),")
        lines.append("    ]),")
    return "\n".join([*lines, "]", ""])
