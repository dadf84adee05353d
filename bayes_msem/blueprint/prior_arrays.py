"""Priors, bounds and constraints of a model as arrays: what the density of NUTS reads.

The density is compiled once for all models (kernels.density), so everything that belongs to one
model arrives as data: for each sampled parameter the family and arguments of its prior, the
logarithm of its normalising constant and its bounds; for each constraint (``label == expression``)
the expression and its derivatives in postfix notation.
"""

from __future__ import annotations

import numpy as np

from bayes_msem.kernels.layout import SQUARE
from bayes_msem.kernels.priors import (
    ABOVE,
    BELOW,
    BETA,
    BOTH,
    CHI,
    FIRST_FUNCTION,
    FLAT,
    GAMMA,
    INVERSE_GAMMA,
    LAPLACE,
    LOG_NORMAL,
    MINUS,
    NEGATE,
    NORMAL,
    OVER,
    PLUS,
    POWER,
    PUSH_LABEL,
    PUSH_NUMBER,
    STUDENT_T,
    TIMES,
    UNBOUNDED,
    FloatArray,
    IntArray,
    PriorArrays,
    prior_kernel,
)
from bayes_msem.spec.expressions import (
    FUNCTIONS,
    Binary,
    Call,
    Expression,
    Name,
    Negate,
    Number,
    derivative,
    names,
)
from bayes_msem.spec.prior_families import FAMILIES
from bayes_msem.spec.table import ParameterTable
from bayes_msem.structure.parameters import Group, Parameters

_BINARY = {"+": PLUS, "-": MINUS, "*": TIMES, "/": OVER, "^": POWER}


def bounds_of(parameters: Parameters) -> tuple[FloatArray, FloatArray]:
    """Lower and upper bounds of the sampled parameters, from the families of their priors."""
    lower, upper = [np.empty(0)], [np.empty(0)]
    for group in parameters.groups:
        low, high = FAMILIES[group.family].limits(list(group.arguments))
        if group.family == "beta":
            low, high = 0.0, 1.0  # sampled as (r + 1) / 2
        lower.append(np.broadcast_to(low, len(group.free)))
        upper.append(np.broadcast_to(high, len(group.free)))
    return np.concatenate(lower).astype(float), np.concatenate(upper).astype(float)


def pack_priors(table: ParameterTable, parameters: Parameters) -> PriorArrays:
    """Pack the priors, bounds and constraints of a model.

    Parameters
    ----------
    table
        The parameter table, for the constraints.
    parameters
        The sampled parameters and their priors.
    """
    family = [np.empty(0, dtype=np.int64)]
    arguments, constant = [np.empty((0, 3))], [np.empty(0)]
    for group in parameters.groups:
        codes, values = _kernel_of(group)
        family.append(np.full(len(group.free), codes))
        arguments.append(values)
        constant.append(_constants(group, codes, values))
    programs, slopes, code, numbers = _constraints(table, parameters)
    lower, upper = bounds_of(parameters)
    below, above = np.isfinite(lower), np.isfinite(upper)
    return PriorArrays(
        family=np.concatenate(family).astype(np.int64),
        arguments=np.ascontiguousarray(np.concatenate(arguments)),
        constant=np.concatenate(constant),
        bounded=np.where(below, np.where(above, BOTH, BELOW), np.where(above, ABOVE, UNBOUNDED)),
        lower=lower,
        upper=upper,
        squared=(parameters.transform == SQUARE).astype(np.int64),
        programs=programs,
        slopes=slopes,
        code=code,
        numbers=numbers,
    )


def _kernel_of(group: Group) -> tuple[int, FloatArray]:
    """Kernel and arguments (n, 3) of a group's priors."""
    a = dict(zip(FAMILIES[group.family].arguments, group.arguments, strict=True))
    zero = np.zeros(len(group.free))
    match group.family:
        case "normal" | "truncatednormal":
            code, columns = NORMAL, (a["mu"], a["sigma"], zero)
        case "halfnormal":
            code, columns = NORMAL, (zero, a["sigma"], zero)
        case "studentt":
            code, columns = STUDENT_T, (a["mu"], a["sigma"], a["nu"])
        case "halfstudentt":
            code, columns = STUDENT_T, (zero, a["sigma"], a["nu"])
        case "cauchy":
            code, columns = STUDENT_T, (a["mu"], a["sigma"], zero + 1.0)
        case "halfcauchy":
            code, columns = STUDENT_T, (zero, a["beta"], zero + 1.0)
        case "laplace":
            code, columns = LAPLACE, (a["mu"], a["b"], zero)
        case "uniform":
            code, columns = FLAT, (zero, zero, zero)
        case "exponential":
            code, columns = GAMMA, (zero + 1.0, a["lam"], zero)
        case "gamma":
            code, columns = GAMMA, (a["alpha"], a["beta"], zero)
        case "lognormal":
            code, columns = LOG_NORMAL, (a["mu"], a["sigma"], zero)
        case "invgamma":
            code, columns = INVERSE_GAMMA, (a["alpha"], a["beta"], zero)
        case "chi":
            code, columns = CHI, (a["nu"], a["sigma"], zero)
        case "beta":
            code, columns = BETA, (a["alpha"], a["beta"], zero)
        case family:
            raise AssertionError(f"no kernel for the prior family {family}")
    return code, np.column_stack(columns)


def _constants(group: Group, code: int, arguments: FloatArray) -> FloatArray:
    """Log density minus the kernel's value, taken at the medians."""
    family, of = FAMILIES[group.family], list(group.arguments)
    x = family.quantile(0.5, of)
    density = family.log_density(x, of)
    if group.family == "beta":  # the family's density is that of r = 2 x - 1
        x, density = (x + 1.0) / 2.0, density + np.log(2.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_x, log_rest = np.log(x), np.log1p(-x)
    kernels = [
        prior_kernel(code, *row, *at)[0]
        for row, at in zip(arguments, zip(x, log_x, log_rest, strict=True), strict=True)
    ]
    return np.asarray(density - np.array(kernels))


def _constraints(
    table: ParameterTable, parameters: Parameters
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Return ``programs``, ``slopes``, ``code`` and ``numbers`` of :class:`PriorArrays`."""
    positions = {
        row.label: parameters.position[row.free] for row in table.rows if row.free and row.label
    }
    code: list[tuple[int, int]] = []
    numbers: list[float] = []
    programs, slopes = [], []
    known = dict(positions)
    for k, constraint in enumerate(table.constraints):
        first = len(code)
        _postfix(constraint.expression, known, code, numbers)
        programs.append((first, len(code)))
        for name in dict.fromkeys(names(constraint.expression)):
            first = len(code)
            _postfix(derivative(constraint.expression, name), known, code, numbers)
            slopes.append((k, known[name], first, len(code)))
        known[constraint.label] = parameters.n + k
    return (
        np.array(programs, dtype=np.int64).reshape(-1, 2),
        np.array(slopes, dtype=np.int64).reshape(-1, 4),
        np.array(code, dtype=np.int64).reshape(-1, 2),
        np.array(numbers, dtype=np.float64),
    )


def _postfix(
    expression: Expression,
    positions: dict[str, int],
    code: list[tuple[int, int]],
    numbers: list[float],
) -> None:
    """Append an expression to the postfix code."""
    match expression:
        case Number(value):
            code.append((PUSH_NUMBER, len(numbers)))
            numbers.append(value)
        case Name(name):
            code.append((PUSH_LABEL, positions[name]))
        case Negate(operand):
            _postfix(operand, positions, code, numbers)
            code.append((NEGATE, 0))
        case Call(function, argument):
            _postfix(argument, positions, code, numbers)
            code.append((FIRST_FUNCTION + list(FUNCTIONS).index(function), 0))
        case Binary(op, left, right):
            _postfix(left, positions, code, numbers)
            _postfix(right, positions, code, numbers)
            code.append((_BINARY[op], 0))
