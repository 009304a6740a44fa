"""JUnit 4's tests as the text that a program carries, and what is compiled to run them.

The text begins with the name of the class of the tests; each file of Java follows behind a line with its name. One of
them may be anything that tests and program share, such as the nodes of a graph.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from raysweep.errors import MissingInput

JARS = {"junit4.jar": "junit4", "hamcrest.jar": "libhamcrest-java", "jaxb-api.jar": "libjaxb-api-java"}
"""Files that JUnit's tests and what they test need, each with the package of Debian and Ubuntu that has it. Of the
third one HumanEval-Java needs javax.xml.bind, which Java itself had up to version 10."""
FOLDER = Path("/usr/share/java")
"""Where Debian and Ubuntu keep them."""
_HEAD, _FILE = "// JUnit 4: ", "// file: "
_VALUE = r"(?:[^,()]|\([^()]*\))+"
_TEST = re.compile(rf"(?P<name>@(?:org\.junit\.)?Test)\s*\((?P<arguments>{_VALUE}(?:,{_VALUE})*)\)")
_TIMEOUT = re.compile(rf"(?:^|,)\s*timeout\s*={_VALUE}")
_NAME = r"(?:org\.junit\.rules\.)?"
_RULE = re.compile(
    rf"@(?:org\.junit\.)?(?:Class)?Rule\b[\w\s]*?\s{_NAME}"
    rf"(?:Timeout\s+\w+\s*=|TestRule\s+\w+\s*=\s*(?:new\s+{_NAME}DisableOnDebug\s*\(\s*)?(?:new\s+)?{_NAME}Timeout\b)"
    r"[^;]*;"
)


def junit_tests(name: str, files: Mapping[str, str]) -> str:
    """`name`: of the class of the tests, with its package. `files`: all texts by name, such as ``ADD_TEST.java``."""
    return f"{_HEAD}{name}\n" + "".join(f"{_FILE}{file}\n{text.rstrip()}\n" for file, text in files.items())


def without_wall_time(text: str) -> str:
    """Return tests without JUnit's limits, which are of wall time and fail right programs on a busy machine.

    These are the argument `timeout` of ``@Test``, and fields that are rules with a `Timeout`.
    """

    def without_timeout(test: re.Match[str]) -> str:
        arguments = _TIMEOUT.sub("", test["arguments"])
        if arguments == test["arguments"]:
            return test[0]
        arguments = arguments.strip().removeprefix(",").strip()
        return f"{test['name']}({arguments})" if arguments else test["name"]

    return _RULE.sub("", _TEST.sub(without_timeout, text))


def is_junit(tests: str) -> bool:
    return tests.startswith(_HEAD)


def files_of(tests: str) -> dict[str, str]:
    _, *parts = re.split(rf"^{_FILE}(\S+)\n", tests, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def class_of_tests(tests: str) -> str:
    return tests.partition("\n")[0].removeprefix(_HEAD)


def runner(tests: str) -> str:
    """Return a class `Main` whose `main` runs all tests, and ends with the error of the first that fails.

    A test that is skipped fails: a candidate can throw what JUnit takes for the wish to skip it.
    """
    name = class_of_tests(tests)
    return (
        "public class Main {\n"
        "    public static void main(String[] given) throws Throwable {\n"
        f"        org.junit.runner.Result told = new org.junit.runner.JUnitCore().run({name}.class);\n"
        "        if (!told.getFailures().isEmpty()) {\n"
        "            throw told.getFailures().get(0).getException();\n"
        "        }\n"
        "        if (told.getAssumptionFailureCount() > 0) {\n"
        '            throw new AssertionError("a test was skipped");\n'
        "        }\n"
        "        if (told.getRunCount() == 0) {\n"
        '            throw new IllegalStateException("the tests hold no test");\n'
        "        }\n"
        "    }\n"
        "}\n"
    )


def missing_jars() -> dict[str, str]:
    return {name: package for name, package in JARS.items() if not (FOLDER / name).exists()}


def check_junit() -> None:
    """Raise MissingInput (the packages) where this machine can't run JUnit's tests."""
    if missing := missing_jars():
        raise MissingInput(
            f"this machine lacks {', '.join(missing)} in {FOLDER}, which tests of JUnit 4 need; install "
            f"{' '.join(missing.values())} (Debian, Ubuntu)"
        )
