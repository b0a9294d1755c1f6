"""A model that is converted once before the locks: what is imported late is imported here."""

import base64
import zlib

_DENSE = (
    "eNptU01v00AQnaQmpMUKlRohpEZVhDggDiZpywWQqihtRaWkRW0EBw7GkrfFwnHAWVdw5B9w5MCFWw/9CT1w7CG/oKr6G/gFmD"
    "frWRcElp92PZ73Zt5+tIhotD1Ya1KbWnSXmrRILmJ1cjAnxIi+Aj+BswrRDPg2R4SXMEU2PwuGxZwFfLnCewbcBqYqPY6SIz9U"
    "h0EWa8NzgC95nldlXgcmmX6fab9Dos3xi1957ojmO5UGU1+rZDpJOYe565J3Ca0bMl8C+nu7L7f2D3b2dv3h1qi32Rv1UKPosS"
    "55NnccJX6aJToaK/9YpdNoklAN8XPgB3Aia6CFk+RFT29K/9x/o9Tm2H0TrZlYTXhkfNg1doynh3R6Pvv0+l5F/DiGRbTqrXY9"
    "rMSF1GLNrvfY69D1w8rOf+pwD9WrVxufn37feI71GwC8D8PBzn67P0ngUavQM2vcNPxG2RXrNCTeEo8h8Fa0x0GU2P2x3Kbpz6"
    "VbwpU1qbsyn6G+9TcnvfM3rJXxisT5/yXwUeptI4d/235akrMuPKvRwbiM8UAHWh1m8Ysg1ZHGTqqwH8Sx333SKesUte4YzySu"
    "i+cmokV7i9I7cx7IWV02Z/lDpnBUAkg+CnEUFcZhoIdZXOpXRZ/vE5U3ivflWp8rtwUVuSvWT3EOHON/5d/74/95D2Drr7r2Tr"
    "pmP4pTwtXni7rzvwGt5ZJH"
)
"""tests/vectors/tensorflow/dense.tflite, which has one dense layer; deflated."""

ORIGINAL = zlib.decompress(base64.b64decode(_DENSE))
