"""Named: the systems and workloads that a plan calls by name. They may be installed, or be a file of yours.

    name = "kvstore"               an entry point of an installed package (`quorate.systems`, `quorate.workloads`)
    name = "our_tests.store:Store" an attribute of a module that this Python can import
    name = "my_store.py:Store"     an attribute of a file; it lies beside the plan that names it

A name that leads nowhere is a mistake of the plan. What a file of yours raises, when it is read or when it makes a system, is told
with the line that raised it: it is not quorate that failed.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from sys import modules
from sysconfig import get_path
from types import ModuleType
from typing import Any

from harness.plan_toml import PlanError, nearest

Factory = Callable[..., Any]


def located(name: str, folder: Path) -> str:
    """The name, a file in it found from `folder`; other names as they are."""
    file, colon, attribute = name.partition(":")
    return f"{(folder / file).resolve()}{colon}{attribute}" if file.endswith(".py") else name


@cache  # looking through what is installed takes as long as a short run in the simulator
def find(what: str, name: str) -> Factory:
    """The factory of a `what`, "system" or "workload". Raises PlanError, as does the factory whatever goes wrong in it."""
    where, colon, attribute = name.partition(":")
    if where.endswith(".py"):
        module = of_file(what, name, Path(where))
    elif colon:
        module = of_module(what, name, where)
    else:
        return installed(what, name)
    made = getattr(module, attribute, None)
    if not callable(made):
        missing = (
            f"there is no class or function {attribute!r} in it"
            if attribute
            else "say which class or function of it makes one, after a colon"
        )
        raise PlanError(f"{what} {name!r}: {missing}{nearest(attribute, own(module))}")
    return blamed(f"{what} {name!r}", made)


def installed(what: str, name: str) -> Factory:
    """Of an installed package."""
    found = {point.name: point for point in entry_points(group=f"quorate.{what}s")}
    if name not in found:
        raise PlanError(
            f"no {what} {name!r}; there are: {', '.join(sorted(found)) or 'none'}; "
            f'one of your own is named by its file, "my_store.py:Store", or its module, "package.module:Store"'
        )
    factory: Factory = found[name].load()
    return factory


def of_module(what: str, name: str, module: str) -> ModuleType:
    """A module that Python finds by itself."""
    try:
        return import_module(module)
    except (Exception, SystemExit) as error:
        why = told(error)
        if isinstance(error, ModuleNotFoundError) and error.name and module.startswith(error.name):
            why = f'this Python finds no module {error.name!r}; install it, set PYTHONPATH, or name a file, "my_store.py:Store"'
        raise PlanError(f"{what} {name!r}: {why}") from error


def of_file(what: str, name: str, path: Path) -> ModuleType:
    """A module made of a file. It goes by its whole path, so that two files of one name do not meet."""
    path = path.resolve()
    if not path.is_file():
        raise PlanError(f"{what} {name!r}: there is no file {path}; a path is taken from the plan's folder")
    if str(path) in modules:
        return modules[str(path)]
    spec = spec_from_file_location(str(path), path)
    assert spec is not None
    assert spec.loader is not None
    module = modules[str(path)] = module_from_spec(
        spec
    )  # there before it runs: dataclasses look for their module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del modules[str(path)]
        raise PlanError(f"{what} {name!r}: it cannot be read: {told(error)}") from error
    return module


def own(module: ModuleType) -> list[str]:
    """What a module defines itself that could be meant."""
    return [
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__ and name[0] != "_"
    ]


def blamed(title: str, factory: Factory) -> Factory:
    """The factory, with every error of it told as one of the plan's."""

    @wraps(factory, updated=())
    def make(*arguments: Any) -> Any:
        try:
            return factory(*arguments)
        except PlanError:
            raise
        except Exception as error:
            raise PlanError(f"{title} cannot be made: {told(error)}") from error

    return make


def told(error: BaseException) -> str:
    """An error in a few words, with the place that raised it, or that called into Python's own library for it."""
    text = f"{type(error).__name__}: {error}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not is_library(frame.filename)]
    if isinstance(error, SyntaxError) or not frames:
        return text
    return f"{text} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"


def is_library(filename: str) -> bool:
    """Whether code is Python's own, or an installed package's."""
    return filename.startswith(library_folders())


@cache
def library_folders() -> tuple[str, ...]:
    """What the names of their files begin with."""
    return ("<frozen", __file__, get_path("stdlib"), get_path("purelib"), get_path("platlib"))
