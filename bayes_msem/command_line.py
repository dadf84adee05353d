"""The command ``bayes_msem``: fit a model, look at one, describe data.

Results go to standard output, warnings and errors to standard error. Exit codes: 0 for success, 1
for an error that the message explains, 2 for wrong use of the command, 130 for an interrupt.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from bayes_msem import disk
from bayes_msem.data.describe import describe
from bayes_msem.data.table_files import read_table_file
from bayes_msem.errors import FileError, MsemError, SpecificationError
from bayes_msem.importing import from_mplus
from bayes_msem.inference.options import Sampler
from bayes_msem.model import Model
from bayes_msem.posterior.draw_tables import SUFFIXES, check_format
from bayes_msem.spec.defaults import RandomCovariances
from bayes_msem.spec.expected import table_without_data
from bayes_msem.spec.printing import table_frame

__all__ = ["main"]

_MPLUS = (".inp", ".mplus")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments
        Words after the name of the command; None: those of the process.

    Returns
    -------
    int
        Exit code.

    Examples
    --------
    >>> main(["check", "no such file"])
    1
    """
    given = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], None] = given.run
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _show
        try:
            run(given)
        except MsemError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
    return 0


def _show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    print(f"warning: {message}", file=sys.stderr)


# Words --------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bayes_msem", description="Bayesian multilevel structural equation models."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    fit = commands.add_parser("fit", help="sample the posterior and print the estimates")
    _add_model(fit, data_needed=True)
    _add_sampling(fit)
    _add_results(fit)
    fit.set_defaults(run=_fit)
    check = commands.add_parser("check", help="read a model and print it, without fitting")
    _add_model(check, data_needed=False)
    check.add_argument("--to", choices=("lavaan", "mplus"), help="print it for another program")
    check.set_defaults(run=_check)
    data = commands.add_parser("describe", help="cluster sizes, intraclass correlations, missings")
    data.add_argument("data", help="file with the data")
    data.add_argument("--cluster", required=True, help="column with the identifiers of clusters")
    data.add_argument("--variables", nargs="+", help="columns; all numbers by default")
    data.set_defaults(run=_describe)
    return parser


def _add_model(parser: argparse.ArgumentParser, *, data_needed: bool) -> None:
    parser.add_argument("model", help="file with the model text, or an Mplus input (.inp, .mplus)")
    parser.add_argument(
        "data",
        nargs=None if data_needed else "?",
        help="file with the data: .csv, .tsv, .dat (blanks), .dta, .feather, .parquet",
    )
    add = parser.add_argument_group("model").add_argument
    add("--cluster", help="column with the identifiers of clusters")
    add("--ordered", nargs="*", metavar="NAME", help="ordered outcomes; none named: all indicators")
    pair = {"nargs": 2, "action": "append"}
    add("--family", metavar=("NAME", "FAMILY"), help="such as: --family c poisson", **pair)  # type: ignore[arg-type]
    add("--exposure", metavar=("NAME", "COLUMN"), help="exposure of a count", **pair)  # type: ignore[arg-type]
    add("--prior", metavar=("ROW", "PRIOR"), help="such as: --prior 'y ~ x' 'normal(0, 1)'", **pair)  # type: ignore[arg-type]
    add("--std-lv", action="store_true", help="fix factor variances, not first loadings")
    add("--missing", choices=("fiml", "listwise"), help="what to do about missing values")
    choices = get_args(RandomCovariances)
    add("--random-covariances", choices=choices, help="which covariances of effects are free")
    add("--random", nargs="+", metavar="KIND", help="kinds of coefficients that vary, or all")


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("sampling").add_argument
    add("--draws", type=int, default=1000, help="draws per chain (1000)")
    add("--tune", type=int, default=1000, help="tuning steps per chain (1000)")
    add("--chains", type=int, default=4, help="chains (4)")
    add("--seed", type=int, help="seed; a new one by default")
    add("--cores", type=int, help="chains in parallel; all cores by default")
    add("--sampler", choices=get_args(Sampler), default="nutpie", help="sampler (nutpie)")
    add("--quiet", action="store_true", help="no progress bar")


def _add_results(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("results").add_argument
    add("--ci", type=float, default=0.95, help="mass of intervals (0.95)")
    add("--report", metavar="FILE", help="write a report, .html")
    add("--save", metavar="FILE", help="write the fit, .nc or .zarr")
    add("--summary", metavar="FILE", help="write the estimates with full precision, .csv")
    add("--to-draws", metavar="FILE", help=f"write the draws, {', '.join(SUFFIXES)}")
    add("--overwrite", action="store_true", help="replace files that exist")


# Commands -----------------------------------------------------------------------------------------


def _fit(given: argparse.Namespace) -> None:
    _check_files(given)
    model = _model(given)
    fit = model.fit(
        given.draws,
        given.tune,
        given.chains,
        random_seed=given.seed,
        progress=not given.quiet and sys.stderr.isatty(),
        cores=given.cores,
        sampler=given.sampler,
    )
    summary = fit.summary(ci=given.ci)
    if given.save:  # first: what follows can be made again from it
        fit.save(given.save, overwrite=given.overwrite)
    print(summary)
    if given.summary:
        content = pd.DataFrame(summary).to_csv(index=False).encode()
        disk.write(disk.as_path(given.summary), [content], overwrite=given.overwrite)
    if given.to_draws:
        fit.to_draws(given.to_draws, overwrite=given.overwrite)
    if given.report:
        fit.report(given.report, overwrite=given.overwrite)


def _check_files(given: argparse.Namespace) -> None:
    """Refuse what cannot be written before anything is sampled."""
    suffixes = {
        "report": (".html", ".htm"),
        "save": (".nc", ".nc4", ".h5", ".hdf5", ".zarr"),
        "summary": (".csv",),
        "to_draws": SUFFIXES,
    }
    for name, allowed in suffixes.items():
        path = getattr(given, name)
        if path:
            place = disk.as_path(path)
            option = f"--{name.replace('_', '-')}"
            suffix = disk.check_suffix(place, allowed, f"This is the file of {option}.")
            disk.check_free(place, given.overwrite)
            if name == "to_draws":
                check_format(suffix)


def _check(given: argparse.Namespace) -> None:
    if given.data is None:
        _without_data(given)
        return
    model = _model(given)
    texts: dict[str | None, Callable[[], str]] = {
        "lavaan": model.to_lavaan,
        "mplus": model.to_mplus,
    }
    print(texts.get(given.to, model.__str__)())


def _without_data(given: argparse.Namespace) -> None:
    if given.to:
        raise SpecificationError(
            f"--to {given.to} needs data: bayes_msem check MODEL DATA --to ..."
        )
    if _is_mplus(given.model):
        print(from_mplus(Path(given.model)))
        return
    table = table_without_data(_text(given.model), cluster=given.cluster, std_lv=given.std_lv)
    print(table_frame(table).drop(columns="prior").to_string())
    print(
        "Read without data: names were not checked, all outcomes taken as normal, and all "
        "predictors as numbers (categories become dummies where there are data)."
    )


def _describe(given: argparse.Namespace) -> None:
    print(describe(read_table_file(given.data), given.cluster, given.variables))


def _model(given: argparse.Namespace) -> Model:
    arguments = {
        "cluster": given.cluster,
        "families": dict(given.family or ()) or None,
        "exposure": dict(given.exposure or ()) or None,
        "priors": dict(given.prior or ()) or None,
        "missing": given.missing,
        "random": given.random[0] if given.random and len(given.random) == 1 else given.random,
        "random_covariances": given.random_covariances,
        "std_lv": given.std_lv or None,
        "ordered": None if given.ordered is None else given.ordered or True,
    }
    chosen: dict[str, Any] = {name: value for name, value in arguments.items() if value is not None}
    if _is_mplus(given.model):
        read = from_mplus(Path(given.model))
        for note in read.notes:
            print(f"note: {note}", file=sys.stderr)
        return read.model(read_table_file(given.data, names=read.columns), **chosen)
    return Model(_text(given.model), read_table_file(given.data), **chosen)


def _is_mplus(path: str) -> bool:
    return Path(path).suffix.lower() in _MPLUS


def _text(path: str) -> str:
    place = disk.as_path(path)
    try:
        return place.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise FileError(f"cannot read the model text '{path}': {what}") from error
