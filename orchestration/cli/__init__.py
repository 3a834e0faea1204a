"""The command line `lujan`: commands, live view and closing report. Texts are for city staff.

What a process of the command line sets before anything heavy is imported stands here: the classes
and manifests that it keeps to its end are not searched for garbage again and again (a tenth of the
time of starting), nor once more when it ends (0.05 s of a load); NumPy starts no threads of linear
algebra, for which there is no work; and Pydantic looks for no plugins of its own, for which it
would read what every installed package says of itself (0.02 s).
"""

import atexit
import gc
import os

# Objects made before the youngest are looked at, and how often the older ones are.
gc.set_threshold(200_000, 20, 100)
atexit.register(gc.freeze)
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
