"""The page of ``ganimation serve``; its only part that knows Gradio is :mod:`ganimation.web.page`."""
