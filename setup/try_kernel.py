"""Starts the kernelspec whetstone as Jupyter does and runs one typed cell; prints the seconds until it was ready."""

import sys
import time

from jupyter_client.manager import start_new_kernel

begin = time.monotonic()
manager, client = start_new_kernel(kernel_name="whetstone", startup_timeout=60)
ready = time.monotonic() - begin
try:
    texts = []

    def collect(message):
        texts.extend(str(value) for value in message["content"].get("data", {}).values())

    reply = client.execute_interactive("const x: number = 6 * 7; x", timeout=60, output_hook=collect, allow_stdin=False)
    if reply["content"]["status"] != "ok" or "42" not in texts:
        sys.exit(f"the cell 6 * 7 gave {reply['content']['status']}: {texts}")
    print(f"{ready:.1f}")
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
