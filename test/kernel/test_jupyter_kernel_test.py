"""Jupyter's own conformance suite for kernels, with every test on."""

import jupyter_kernel_test as suite
import pytest
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager

# What the suite waits for between two messages (0.1 s) is too short where other programs take the processors.
PATIENCE = 10


def manager(kernels_folder):
    specs = KernelSpecManager(kernel_dirs=[str(kernels_folder)], ensure_native_kernel=False)
    return KernelManager(kernel_name="whetstone", kernel_spec_manager=specs)


class TestWhetstone(suite.KernelTests):
    language_name = "typescript"
    file_extension = ".ts"
    code_hello_world = 'console.log("hello, world")'
    code_stderr = 'console.error("x")'
    completion_samples = [
        {"text": "parseIn", "matches": {"parseInt"}},
        {"text": "console.tabl", "matches": {"table"}},
    ]
    complete_code_samples = ["1", "const a: number = 1", "function f() {\n  return 1;\n}", "await Promise.resolve(1)", "parseInt?", ""]
    incomplete_code_samples = ["function f() {", "const s = `text", "[1, 2,", "/* comment", "if (true) {\n  1"]
    invalid_code_samples = ["let = 7q", "const const a = 1", "1 +* 2"]
    code_page_something = "parseInt?"
    code_generate_error = "throw new Error('as wanted')"
    code_execute_result = [
        {"code": "1 + 2", "result": "3"},
        {"code": "'text'", "result": "'text'"},
        {"code": "[1, 2, 3].map((x) => x * 2)", "result": "[ 2, 4, 6 ]"},
        {"code": "({ toHTML: () => '<b>x</b>' })", "result": "<b>x</b>", "mime": "text/html"},
    ]
    code_display_data = [
        {"code": f"display({{ {mime!r}: {data}, 'text/plain': '' }}, {{ raw: true }})", "mime": mime}
        for mime, data in {
            "text/html": "'<b>x</b>'",
            "text/markdown": "'**x**'",
            "text/latex": "'$x$'",
            "image/svg+xml": "'<svg/>'",
            "image/png": "'iVBORw0KGgo='",
            "application/json": "{ a: 1 }",
        }.items()
    ]
    code_history_pattern = "*map(*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "parseInt"
    code_clear_output = "clearOutput()"

    @classmethod
    def setUpClass(cls):
        """Done by the fixture, which knows our kernelspec."""

    @classmethod
    def tearDownClass(cls):
        pass

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def started(cls, kernels_folder):
        cls.km = manager(kernels_folder)
        cls.km.start_kernel()
        cls.kc = cls.km.client()
        cls.kc.start_channels()
        try:
            cls.kc.wait_for_ready(timeout=60)
            cls.get_now = cls.kc.iopub_channel.get_msg
            cls.kc.iopub_channel.get_msg = lambda timeout: cls.get_now(timeout=max(timeout, PATIENCE))
            yield
        finally:
            cls.kc.stop_channels()
            cls.km.shutdown_kernel(now=True)

    def flush_channels(self):
        patient = self.kc.iopub_channel.get_msg
        self.kc.iopub_channel.get_msg = type(self).get_now
        try:
            super().flush_channels()
        finally:
            self.kc.iopub_channel.get_msg = patient


class TestWelcome(suite.IopubWelcomeTests):
    support_iopub_welcome = True

    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def started(cls, kernels_folder):
        cls.km = manager(kernels_folder)
        cls.km.start_kernel()
        cls.kc = cls.km.client()
        yield
        cls.kc.stop_channels()
        cls.km.shutdown_kernel(now=True)
