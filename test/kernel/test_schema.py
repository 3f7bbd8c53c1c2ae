"""The schema of messages itself: it knows them all, takes what is right, and names what is wrong."""

from pathlib import Path

import pytest
from schema import CONTENTS, faults

HEADER = {"msg_id": "m", "session": "s", "username": "u", "date": "2026-01-01T00:00:00Z", "version": "5.4"}
ERROR = {"ename": "E", "evalue": "e", "traceback": ["line"]}


def message(kind, content, parent=None, **header):
    parent = {**HEADER, "msg_type": "execute_request"} if parent is None else parent
    return {"msg_type": kind, "header": {**HEADER, "msg_type": kind, **header}, "parent_header": parent, "metadata": {}, "content": content}


RIGHT = [
    ("status", {"execution_state": "busy", "of a later version": 1}),
    ("execute_reply", {"status": "ok", "execution_count": 1, "user_expressions": {"a": {"status": "error", **ERROR}}}),
    ("execute_reply", {"status": "aborted", "execution_count": 1}),
    ("history_reply", {"status": "ok", "history": [[1, 2, "in"], [1, 3, ["in", None]]]}),
    ("is_complete_reply", {"status": "incomplete", "indent": "  "}),
    ("display_data", {"data": {"application/json": {"a": [1]}}, "metadata": {}}),
    ("of nobody", {}),
]

WRONG = {
    "execution_state": ("status", {"execution_state": "tired"}),
    "'execution_count'": ("execute_reply", {"status": "ok", "user_expressions": {}}),
    "'user_expressions'": ("execute_reply", {"status": "ok", "execution_count": 1}),
    "'traceback'": ("execute_reply", {"status": "error", "execution_count": 1, "ename": "E", "evalue": "e"}),
    "'evalue'": ("execute_reply", {"status": "ok", "execution_count": 1, "user_expressions": {"a": {"status": "error", "ename": "E", "traceback": []}}}),
    "'text/plain'": ("execute_result", {"data": {"text/html": "x"}, "metadata": {}, "execution_count": 1}),
    "'html' does not match": ("display_data", {"data": {"html": "x"}, "metadata": {}}),
    "['image/png']": ("display_data", {"data": {"image/png": [1, 2]}, "metadata": {}}),
    "'display_id'": ("update_display_data", {"data": {}, "metadata": {}, "transient": {}}),
    "'abort'": ("execute_reply", {"status": "abort", "execution_count": 1}),
    "True is not of type 'integer'": ("execute_input", {"code": "", "execution_count": True}),
    "['history'][0]": ("history_reply", {"status": "ok", "history": [[1, 2]]}),
    "'indent'": ("is_complete_reply", {"status": "incomplete"}),
    "should not be valid": ("is_complete_reply", {"status": "complete", "indent": ""}),
    "'start'": ("execute_reply", {"status": "ok", "execution_count": 1, "user_expressions": {}, "payload": [{"source": "page", "data": {"text/plain": ""}}]}),
    "'target_name'": ("comm_info_reply", {"status": "ok", "comms": {"c": {}}}),
    "['shell_port']": ("connect_reply", {f"{name}_port": 0 if name == "shell" else 5 for name in ["shell", "iopub", "stdin", "hb", "control"]}),
}


@pytest.mark.parametrize("kind, content", RIGHT)
def test_right_messages(kind, content):
    assert faults(message(kind, content)) == []


@pytest.mark.parametrize("said", WRONG)
def test_wrong_messages(said):
    kind, content = WRONG[said]
    found = faults(message(kind, content))
    # An object in a part of the schema of its own is named with its place.
    assert any(said in fault for fault in found), found


def test_headers():
    assert "parent_header" in faults(message("interrupt_reply", {"status": "ok"}, parent={}))[0]
    assert "parent_header" in faults(message("iopub_welcome", {"subscription": ""}))[0]
    assert "session" in faults(message("status", {"execution_state": "idle"}, session=None))[0]
    assert "version 4.1" in faults(message("status", {"execution_state": "idle"}, version="4.1"))[0]


# What a kernel sends only if it has a debugger or subshells, which ours does not claim to have.
NOT_CLAIMED = {"debug_event", "create_subshell_reply", "delete_subshell_reply", "list_subshell_reply"}


def test_no_message_is_forgotten():
    """Each message of the specification is provoked in test_message_fields.py."""
    text = (Path(__file__).parent / "test_message_fields.py").read_text()
    assert [kind for kind in CONTENTS if kind not in NOT_CLAIMED and kind not in text] == []
