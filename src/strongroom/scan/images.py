"""Pictures that lie beside a model, for its card: nothing may be hidden behind them."""

from strongroom.artifact.images import read_image
from strongroom.scan.scan import Content, Scan


def scan_image(scan: Scan, content: Content) -> None:
    for text in read_image(content.read_at, content.size_bytes):
        scan.text(text, content.place.named("comment"))
