"""Keras archives (.keras, version 3) and HDF5 models: layers and registered objects at any depth."""

from strongroom.artifact.formats import Format
from strongroom.artifact.zips import ZipMember, open_member, read_zip
from strongroom.errors import RejectedError, shorten
from strongroom.scan import keras_rules as rules
from strongroom.scan.hdf5 import scan_hdf5
from strongroom.scan.keras_config import judge_keras_config
from strongroom.scan.scan import MAX_MEMBER_BYTES, Content, Scan
from strongroom.scan.strict_json import parse_json

__all__ = ["RULES", "scan_hdf5", "scan_keras"]

MAX_CONFIG_BYTES = 32 * 2**20
RULES = rules.RULES

_CONFIG, _METADATA, _WEIGHTS, _ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets"


def scan_keras(scan: Scan, content: Content) -> None:
    """Look at each member of an archive that Keras 3 wrote.

    Raises:
        RejectedError: an archive of two truths, or without configuration or weights.
    """
    members = read_zip(content.read_at, content.size_bytes)
    present = {member.name for member in members if not member.is_folder}
    for name in (_CONFIG, _METADATA, _WEIGHTS):
        if name not in present:
            raise RejectedError(f"a Keras archive without {name}")
    for member in members:
        _scan_member(scan, content, member)


def _scan_member(scan: Scan, content: Content, member: ZipMember) -> None:
    in_assets = member.name == _ASSETS or member.name.startswith(_ASSETS + "/")
    if member.is_folder:
        if not in_assets:
            scan.add(rules.MEMBER, content.place.enter(member.name), f"holds a folder {shorten(member.name)}")
        return
    opened = _open(scan, content, member)
    if member.name in (_CONFIG, _METADATA):
        data = opened.read(MAX_CONFIG_BYTES)
        parsed = parse_json(data, member.name)
        if not isinstance(parsed, dict):
            raise RejectedError(f"{member.name} is not an object")
        scan.text(data.decode(), opened.place)
        judge_keras_config(scan, parsed, opened.place)
        return
    found = scan.descend(opened)
    if member.name == _WEIGHTS:
        if found is not Format.HDF5:
            scan.add(rules.MEMBER, opened.place, f"is {found}, not HDF5")
    elif not in_assets:
        scan.add(rules.MEMBER, opened.place, f"holds {shorten(member.name)}")


def _open(scan: Scan, content: Content, member: ZipMember) -> Content:
    read_at, size_bytes = open_member(content.read_at, member, MAX_MEMBER_BYTES)
    if member.method:
        scan.spend(size_bytes)
    return Content(read_at, size_bytes, content.place.enter(member.name))
