"""Telemetry of other libraries, switched off before they are imported.

Libraries that send usage data, and the setting of each that switches it off:

- ONNX Runtime sends usage events (device id, executable, OS, CPU, memory): ``ORT_DISABLE_TELEMETRY``.
- OpenVINO sends an event to Google Analytics when it is imported, by the package ``openvino_telemetry``; where that
  package cannot be imported it uses a stub of its own.
- Gradio sends analytics and looks for newer versions: ``GRADIO_ANALYTICS_ENABLED``.
- huggingface_hub names the calling library and looks for newer versions: ``HF_HUB_DISABLE_TELEMETRY``,
  ``HF_HUB_DISABLE_UPDATE_CHECK``.
- Ray sends usage statistics from the clusters that it starts: ``RAY_USAGE_STATS_ENABLED``.
- wandb, which only runs where a user asks for it, sends its own crashes to its makers: ``WANDB_ERROR_REPORTING``.

A value that the user has set is respected. docs/privacy.md tells users.
"""

import os
import sys

#: Environment variables that switch telemetry off, and the values that do it.
SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "WANDB_ERROR_REPORTING": "False",
}


def disable_telemetry() -> None:
    """Switch telemetry off in this process and in those that it starts."""
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    runtime = sys.modules.get("onnxruntime")
    if runtime is not None and hasattr(runtime, "disable_telemetry_events"):  # it was imported before this package
        runtime.disable_telemetry_events()
