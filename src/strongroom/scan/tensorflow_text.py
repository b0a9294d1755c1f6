"""Graphs of TensorFlow as text, which it loads where there is no binary one."""

import re

from strongroom.scan.place import Place
from strongroom.scan.scan import Scan
from strongroom.scan.tensorflow_rules import TEXT_GRAPH

_LOADED_BY_NAME = frozenset({"saved_model.pbtxt", "graph.pbtxt"})
# A node names its operation; label maps and the configurations of servers and trainers have no such field.
_NODE = re.compile(r"""\b(?:node|node_def|meta_graphs|graph_def)[ \t\r\n]{0,8}:?[ \t\r\n]{0,8}[{<]""")


def judge_text_graph(scan: Scan, name: str, text: str, place: Place) -> None:
    """Report a text that is a graph, or that TensorFlow would take for one by its name."""
    if name.lower() in _LOADED_BY_NAME or _NODE.search(text):
        scan.add(TEXT_GRAPH, place, "is a graph of TensorFlow as text")
