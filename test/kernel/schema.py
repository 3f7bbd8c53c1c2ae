"""The content of every message a kernel sends, as JSON Schema: written from the messaging specification, version 5.5 (jupyter-client's docs/messaging)."""

import re

from jsonschema import Draft202012Validator

text = {"type": "string"}
whole = {"type": "integer"}
number = {"type": "number"}
flag = {"type": "boolean"}
record = {"type": "object"}
texts = {"type": "array", "items": text}
port = {"type": "integer", "minimum": 1, "maximum": 65535}
version = {"type": "string", "pattern": r"^\d+\.\d+"}


def one_of(*values):
    return {"enum": list(values)}


def fields(required, optional=None):
    """An object that has these fields, perhaps those, and whatever a later version of the protocol adds."""
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


def both(*schemas):
    return {"allOf": list(schemas)}


def when(field, value, then):
    return {"if": {"properties": {field: {"const": value}}, "required": [field]}, "then": then}


# Representations by MIME type: texts and images are strings, the latter in base64; JSON is unpacked.
bundle = {
    "type": "object",
    "propertyNames": {"pattern": r"^[\w\-+.]+/[\w\-+.]+$"},
    "patternProperties": {r"^(text|image)/": text},
}
plain_bundle = both(bundle, fields({"text/plain": text}))
failure = fields({"ename": text, "evalue": text, "traceback": texts})
shown = {"data": bundle, "metadata": record}
transient = fields({}, {"display_id": text})


def reply(content, states=("ok", "error", "aborted")):
    """A reply: its fields when all is well, what went wrong when not. Only `aborted` says nothing more."""
    return both(
        fields({"status": one_of(*states)}),
        when("status", "ok", fields(content)),
        when("status", "error", failure),
    )


payload = both(
    fields({"source": text}),
    when("source", "page", fields({"data": plain_bundle, "start": whole})),
    when("source", "set_next_input", fields({"text": text, "replace": flag})),
    when("source", "edit_magic", fields({"filename": text, "line_number": whole})),
    when("source", "ask_exit", fields({"keepkernel": flag})),
)
expression = both(fields({"status": one_of("ok", "error")}), when("status", "ok", fields(shown)), when("status", "error", failure))
completion = fields({"start": whole, "end": whole, "text": text, "type": text})
history_line = {
    "type": "array",
    "prefixItems": [
        whole,
        whole,
        {"anyOf": [text, {"type": "array", "prefixItems": [text, {"type": ["string", "null"]}], "minItems": 2, "maxItems": 2}]},
    ],
    "minItems": 3,
    "maxItems": 3,
}
language = fields(
    {"name": text, "version": text, "mimetype": text, "file_extension": {"type": "string", "pattern": r"^\."}},
    {"pygments_lexer": text, "codemirror_mode": {"type": ["string", "object"]}, "nbconvert_exporter": text},
)

CONTENTS = {
    # iopub
    "iopub_welcome": fields({"subscription": text}),
    "status": fields({"execution_state": one_of("starting", "busy", "idle")}),
    "execute_input": fields({"code": text, "execution_count": whole}),
    "stream": fields({"name": one_of("stdout", "stderr"), "text": text}),
    "display_data": fields(shown, {"transient": transient}),
    "update_display_data": fields({**shown, "transient": fields({"display_id": text})}),
    "execute_result": fields({**shown, "data": plain_bundle, "execution_count": whole}, {"transient": transient}),
    "error": failure,
    "clear_output": fields({"wait": flag}),
    "debug_event": fields({"type": {"const": "event"}, "event": text}),
    # both ways
    "comm_open": fields({"comm_id": text, "target_name": text, "data": record}),
    "comm_msg": fields({"comm_id": text, "data": record}),
    "comm_close": fields({"comm_id": text, "data": record}),
    # shell
    "execute_reply": both(
        fields({"execution_count": whole}),
        reply({"user_expressions": {"type": "object", "additionalProperties": expression}}),
        fields({}, {"payload": {"type": "array", "items": payload}}),
    ),
    "inspect_reply": reply({"found": flag, **shown}),
    "complete_reply": reply(
        {
            "matches": texts,
            "cursor_start": whole,
            "cursor_end": whole,
            # JupyterLab and IPython agree on this one.
            "metadata": fields({}, {"_jupyter_types_experimental": {"type": "array", "items": completion}}),
        }
    ),
    "history_reply": reply({"history": {"type": "array", "items": history_line}}),
    "is_complete_reply": both(
        fields({"status": one_of("complete", "incomplete", "invalid", "unknown")}),
        {**when("status", "incomplete", fields({"indent": text})), "else": {"not": {"required": ["indent"]}}},
    ),
    "connect_reply": fields({f"{name}_port": port for name in ["shell", "iopub", "stdin", "hb", "control"]}),
    "comm_info_reply": reply({"comms": {"type": "object", "additionalProperties": fields({"target_name": text})}}),
    "kernel_info_reply": both(
        reply({"protocol_version": version, "implementation": text, "implementation_version": version, "language_info": language, "banner": text}),
        fields(
            {},
            {
                "debugger": flag,
                "help_links": {"type": "array", "items": fields({"text": text, "url": text})},
                "supported_features": texts,
            },
        ),
    ),
    # control
    "shutdown_reply": reply({"restart": flag}),
    "interrupt_reply": reply({}),
    # A Response of the Debug Adapter Protocol, which has its own word for success.
    "debug_reply": fields({"type": {"const": "response"}, "request_seq": whole, "success": flag, "command": text}),
    "create_subshell_reply": reply({"subshell_id": text}),
    "delete_subshell_reply": reply({}),
    "list_subshell_reply": reply({"subshell_id": texts}),
    # Of ipykernel and jupyter-resource-usage, not of the specification.
    "usage_reply": fields({"hostname": text, "pid": whole, "kernel_cpu": number, "kernel_memory": whole}),
    # stdin
    "input_request": fields({"prompt": text, "password": flag}),
}
VALIDATORS = {kind: Draft202012Validator(schema) for kind, schema in CONTENTS.items()}

HEADER = Draft202012Validator(fields({"msg_id": text, "msg_type": text, "session": text, "username": text, "version": version}))
# Messages that no request has caused.
WITHOUT_PARENT = {"iopub_welcome"}


def misfits(part, validator, value):
    """What is wrong with a part of a message, with its place."""
    for error in validator.iter_errors(value):
        place = "".join(f"[{step!r}]" for step in error.absolute_path)
        yield f"{part}{place}: {error.message}"


def faults(message):
    """What a message has that the specification does not allow, one line each; none for a message it does not know."""
    kind, header, parent = message["msg_type"], message["header"], message["parent_header"]
    found = list(misfits("header", HEADER, header))
    if "date" not in header:
        found.append("header: 'date' is a required property")
    if not found and tuple(int(part) for part in re.findall(r"\d+", header["version"])[:2]) < (5, 0):
        found.append(f"header: version {header['version']}")
    if parent:
        found += misfits("parent_header", HEADER, parent)
    elif kind.endswith("_reply"):
        found.append("parent_header: a reply has one")
    if parent and kind in WITHOUT_PARENT:
        found.append("parent_header: this message has none")
    if not isinstance(message["metadata"], dict):
        found.append("metadata: is no object")
    if kind in VALIDATORS:
        found += misfits(kind, VALIDATORS[kind], message["content"])
    return found
