"""Make the samples of this folder; needs sentencepiece and pillow."""

import random
from pathlib import Path

import sentencepiece
from PIL import Image, PngImagePlugin

here = Path(__file__).parent
words = ["river", "stone", "light", "model", "train", "data", "graph", "token", "weight", "layer"]
choose = random.Random(1)
corpus = [" ".join(choose.choice(words) for _ in range(8)) for _ in range(200)]
for kind in ("unigram", "bpe"):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus),
        model_prefix=kind,
        vocab_size=60,
        hard_vocab_limit=False,
        model_type=kind,
        normalization_rule_name="identity",
        user_defined_symbols=["<sep>"],
        self_test_sample_size=2,
    )
    Path(f"{kind}.vocab").unlink()

image = Image.new("RGB", (8, 8), (9, 8, 7))
notes = PngImagePlugin.PngInfo()
notes.add_text("Comment", "hello there")
notes.add_text("Long", "again " * 40, zip=True)
notes.add_itxt("Title", "schön", zip=True)
exif = Image.Exif()
exif[0x010E] = "a description"
image.save(here / "notes.png", pnginfo=notes)
image.save(here / "plain.jpg", comment="hello there")
image.save(here / "progressive.jpg", progressive=True, exif=exif)
image.convert("P").save(here / "still.gif", comment=b"hello there")
image.save(here / "moving.gif", save_all=True, append_images=[Image.new("RGB", (8, 8), (200, 8, 7))])
image.save(here / "lossy.webp", exif=exif)
image.save(here / "lossless.webp", lossless=True)
