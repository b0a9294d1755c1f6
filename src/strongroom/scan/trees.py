"""XGBoost and LightGBM: strict models of trees."""

from strongroom.errors import RejectedError
from strongroom.scan.scan import Content, Scan


def scan_xgboost_json(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")


def scan_xgboost_ubj(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")


def scan_lightgbm(scan: Scan, content: Content) -> None:
    raise RejectedError("is not scanned yet")
