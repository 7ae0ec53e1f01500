"""The page as a Space of the Hugging Face Hub.

Variables of the Space: ``MODEL``, a repository ``OWNER/NAME`` (default: the weights that ship). The platform sets
``SPACE_HOST``, and the port that it forwards is 7860.
"""

import os

from ganimation import Editor
from ganimation.web.server import serve

if __name__ == "__main__":
    serve(
        Editor(os.environ.get("MODEL", "bundled")),
        host="0.0.0.0",
        port=int(os.environ.get("PORT", "7860")),
        hosts=[os.environ["SPACE_HOST"]] if "SPACE_HOST" in os.environ else [],
        proxy="*",  # only the platform's proxy reaches the container
        frames=["huggingface.co"],
    )
