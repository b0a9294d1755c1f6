"""Programs beside weights, and files that other programs obey, are refused; documents about them pass."""

import pytest

from tests.unit.scan.looking import refused, rules, scan_files

ACTING = {
    "os.system": "import os\nos.system('id')\n",
    "subprocess": "import subprocess\n",
    "subprocess by from": "from subprocess import run\n",
    "socket": "def f():\n    import socket\n",
    "ctypes": "from ctypes import CDLL\n",
    "exec": "exec('1')\n",
    "eval in a class": "class A:\n    x = eval('1')\n",
    "import by text": "m = __import__('o' + 's')\n",
    "import_module": "import importlib\nimportlib.import_module('os')\n",
    "builtins": "print.__self__.__builtins__\n",
    "subclasses": "().__class__.__base__.__subclasses__()\n",
    "pickle": "import pickle\n",
    "base64": "import base64\nbase64.b64decode('')\n",
    "in a lambda": "f = lambda: __import__('os')\n",
}


@pytest.mark.parametrize("text", ACTING.values(), ids=ACTING.keys())
@pytest.mark.parametrize("name", ["modeling_x.py", "custom_generate/generate.py", "setup.py"])
def test_program_that_acts_is_critical(name: str, text: str) -> None:
    assert refused(scan_files({name: text}).matches) == {"code-beside-weights", "code-acts-on-the-machine"}


@pytest.mark.parametrize(
    "name",
    [
        *("modeling.py", "conftest.py", "__init__.py", "sitecustomize.py", "usercustomize.py", "handler.py"),
        *("1/model.py", "run.sh", "run.bat", "run.ps1", "index.js", "x.rb", "x.pl", "x.lua", "x.R", "x.ipy"),
        *("Makefile", "Dockerfile", "Dockerfile.gpu", "Jenkinsfile", "CMakeLists.txt", "kernel.cu", "op.cpp"),
        *("start.desktop", "x.url", "x.lnk", "X.PY"),
    ],
)
def test_program_of_any_language_is_refused(name: str) -> None:
    assert refused(scan_files({name: "x = 1\n"}).matches) == {"code-beside-weights"}


@pytest.mark.parametrize("name", ["__init__.py", "sitecustomize.py", "Makefile"])
def test_empty_program_is_refused(name: str) -> None:
    assert refused(scan_files({name: ""}).matches) == {"code-beside-weights"}


@pytest.mark.parametrize(
    "text", ["#!/bin/sh\nid\n", "#! /usr/bin/env python\nimport os\n", "\ufeff#!/bin/sh\n"]
)
def test_program_without_extension_is_refused(text: str) -> None:
    assert "code-beside-weights" in refused(scan_files({"weights": text}).matches)


def test_site_file_that_runs_code_is_refused() -> None:
    report = scan_files({"distutils-precedence.pth": "import os; os.system('id')\n"})
    assert "code-acts-on-the-machine" in refused(report.matches)
    assert refused(scan_files({"a.pth": "/opt/evil\n"}).matches) >= {"code-runs-by-habit"}


@pytest.mark.parametrize(
    "name",
    [
        *(
            ".npmrc",
            ".pypirc",
            ".bashrc",
            ".env",
            ".env.local",
            ".netrc",
            "pip.conf",
            ".gitmodules",
            ".envrc",
        ),
        *(
            ".git/hooks/pre-commit",
            ".git/config",
            ".ipython/profile_default/startup/a.txt",
        ),
        *("sub/.git/config", ".ssh/config"),
    ],
)
def test_file_that_tools_obey_is_refused(name: str) -> None:
    assert "code-runs-by-habit" in refused(scan_files({name: "{}\n"}).matches)


def test_git_filter_is_refused_and_large_files_are_not() -> None:
    assert refused(scan_files({".gitattributes": "*.bin filter=evil -text\n"}).matches) == {
        "code-runs-by-habit"
    }
    usual = "*.bin filter=lfs diff=lfs merge=lfs -text\n*.txt text=auto\n*.png binary\n*.md merge=union\n"
    assert scan_files({".gitattributes": usual}).matches == ()


def test_documents_pass() -> None:
    files = {
        "README.md": "#!usage\n```python\nimport os; os.system('id')\n```\n",
        "LICENSE": "x",
        "notes.txt": "import os\nos.system('rm -rf /')\n",
        "pyproject.toml": '[project]\nname = "x"\n',
        "CITATION.cff": "cff-version: 1.2.0\n",
        "samples/readme.rst": "Makefile\n",
    }
    assert scan_files(files).matches == ()


@pytest.mark.parametrize(
    "line",
    [
        "git+https://example.com/x.git",
        "-e .",
        "--index-url https://example.com/simple",
        "--extra-index-url=https://example.com/simple",
        "--find-links https://example.com/",
        "pkg @ https://example.com/pkg-1-py3-none-any.whl",
        "https://example.com/pkg.tar.gz",
        "--trusted-host example.com",
        "pkg @ file:///tmp/x",
    ],
)
def test_package_from_elsewhere_needs_a_reviewer(line: str) -> None:
    assert rules(scan_files({"requirements.txt": f"torch==2.1.0\n{line}\n"}).matches) == {
        "requirements-foreign-source"
    }
    conda = f"name: x\ndependencies:\n- python=3.10\n- pip:\n  - '{line}'\n"
    assert rules(scan_files({"conda.yaml": conda}).matches) == {"requirements-foreign-source"}


def test_open_versions_are_noted_and_pinned_ones_pass() -> None:
    assert rules(scan_files({"requirements-dev.txt": "torch\nnumpy>=1\n"}).matches) == {
        "requirements-unpinned"
    }
    pinned = (
        "# a note\ntorch==2.1.0 --hash=sha256:00\nnumpy[all] == 1.26 ; python_version > '3'\n-r other.txt\n"
    )
    assert scan_files({"requirements.txt": pinned}).matches == ()


def test_text_that_is_shown_in_another_order_is_noted() -> None:
    assert rules(scan_files({"config.json": '{"a": "x\u202e y"}'}).matches) == {"text-reordered"}
    assert rules(scan_files({"notes.txt": "a\u200bb"}).matches) == {"text-invisible-letters"}
    assert rules(scan_files({"gnp.\u202ejson.txt": "a"}).matches) == {"file-name-misleads"}
    assert (
        scan_files({"notes.txt": "\ufeffשלום, français, 中文\n", "vocab.txt": "\u200b\n\u202e\n"}).matches
        == ()
    )


def test_script_in_a_page_is_noted() -> None:
    page = "<!DOCTYPE html><html><body>x<script>{}</script></body></html>"
    assert rules(scan_files({"report.html": page.format("fetch('https://example.com')")}).matches) == {
        "page-script-talks"
    }
    assert scan_files({"report.html": page.format("draw()")}).matches == ()


def test_settings_of_editors_need_a_reviewer() -> None:
    assert rules(scan_files({".vscode/settings.json": "{}"}).matches) == {"code-tool-settings"}
    assert "config-installs-packages" in refused(scan_files({".vscode/tasks.json": '{"tasks": [1]}'}).matches)


@pytest.mark.parametrize(
    "text",
    [
        "a\n" * 400_000,
        "z = " + "(" * 90_000,
        "-" * 90_000 + "1",
        "x" + "[0]" * 40_000,
        "1if 1else " * 10_000 + "x",
    ],
)
def test_program_made_to_exhaust_a_parser_is_refused(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert refused(scan_files({"modeling.py": text}).matches) == {"code-beside-weights"}
    assert capfd.readouterr().err == ""
