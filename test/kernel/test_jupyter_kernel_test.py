"""Jupyter's own conformance suite for kernels, with every test on. It runs on our kernel, or on a peer (see samples.py)."""

import jupyter_kernel_test as suite
import pytest
from samples import SAMPLES, SUBJECT

# What the suite waits for between two messages (0.1 s) is too short where other programs take the processors.
PATIENCE = 10


class Kept:
    """The fixtures start and end the kernel, which the suite would by itself."""

    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass


class TestKernel(Kept, suite.KernelTests):
    locals().update(SAMPLES[SUBJECT]["suite"])

    @pytest.fixture(autouse=True)
    def started(self, subject):
        self.km, self.kc = subject.manager, subject.client
        self.get_now = self.kc.iopub_channel.get_msg
        self.kc.iopub_channel.get_msg = lambda timeout: self.get_now(timeout=max(timeout, PATIENCE))
        yield
        self.kc.iopub_channel.get_msg = self.get_now

    def flush_channels(self):
        patient = self.kc.iopub_channel.get_msg
        self.kc.iopub_channel.get_msg = self.get_now
        try:
            super().flush_channels()
        finally:
            self.kc.iopub_channel.get_msg = patient


class TestWelcome(Kept, suite.IopubWelcomeTests):
    support_iopub_welcome = True

    @pytest.fixture(autouse=True)
    def started(self, limit, start_subject):
        """The client connects in the test: a welcome is the first that it hears."""
        kernel = start_subject(connected=False)
        self.km, self.kc = kernel.manager, kernel.client
        yield
        kernel.__exit__()
