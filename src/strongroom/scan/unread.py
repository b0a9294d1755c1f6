"""The rules for what could not be looked at, or not to its end. Not scanned is refused."""

from strongroom.scan.rule import Rule
from strongroom.values import Severity

UNKNOWN = Rule(
    "format-unknown",
    Severity.HIGH,
    "Unknown content",
    "Nothing here can tell what this file is, so nothing can tell that it is harmless.",
    "Leave the file out, or export the model to one of the formats of docs/formats-accepted.md.",
)
MALFORMED = Rule(
    "file-malformed",
    Severity.HIGH,
    "Malformed or ambiguous",
    "Two programs can read such a file in two ways, which is how content is hidden from a scanner.",
    "Export the file again with a current version of its own tool.",
    atlas=("AML.T0011.000",),
)
DISGUISED = Rule(
    "format-disguised",
    Severity.HIGH,
    "Not what its name says",
    "A file that is another kind than its name says is read in another way than people expect.",
    "Give the file the name of what it is.",
    atlas=("AML.T0074",),
)
LINK = Rule(
    "source-link",
    Severity.HIGH,
    "Symbolic link",
    "A link makes a model out of files that lie elsewhere: others' files, secret ones, or ones that change.",
    "Copy the file itself into the folder. To scan a cache that is made of links, use --follow-links.",
    atlas=("AML.T0010",),
)
ODD = Rule(
    "source-odd",
    Severity.HIGH,
    "Not a plain file",
    "What cannot be read cannot be scanned.",
    "Leave it out, or scan as a user who may read it.",
)
BROKE = Rule(
    "scan-broke-off",
    Severity.HIGH,
    "The scan broke off",
    "The file made the scanner crash, hang or run out of memory, as files do that are made to.",
    "Export the file again with a current version of its own tool; if it is honest, report it as a bug.",
    atlas=("AML.T0029",),
)
NOT_PUBLISHABLE = Rule(
    "model-not-publishable",
    Severity.HIGH,
    "Not of a form that may be served",
    "Only inert formats are sealed, approved and served: files that hold numbers and no program.",
    "Convert it: strongroom convert.",
)
RULES = (UNKNOWN, MALFORMED, DISGUISED, LINK, ODD, BROKE, NOT_PUBLISHABLE)
