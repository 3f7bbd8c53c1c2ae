"""Widgets: the states that ipywidgets would send, kept in step with a front end, output in widgets, views of one's own."""

import json
import math
import time

import anywidget
import ipywidgets
import pytest
import traitlets
from client import check
from test_comms import answer, send

# TypeScript beside the Python that makes the same widget.
SAME = {
    "widgets.IntSlider()": lambda: ipywidgets.IntSlider(),
    'widgets.IntSlider({ min: 1, max: 9, value: 12, step: 2, description: "n", disabled: true })': lambda: ipywidgets.IntSlider(
        min=1, max=9, value=12, step=2, description="n", disabled=True
    ),
    'widgets.FloatSlider({ min: -1, max: 1, value: 0.5, orientation: "vertical", readout_format: ".3f" })': lambda: ipywidgets.FloatSlider(
        min=-1, max=1, value=0.5, orientation="vertical", readout_format=".3f"
    ),
    'widgets.Dropdown({ options: ["a", "b"], value: "b" })': lambda: ipywidgets.Dropdown(options=["a", "b"], value="b"),
    'widgets.Dropdown({ options: [["one", 1], ["two", 2]] })': lambda: ipywidgets.Dropdown(options=[("one", 1), ("two", 2)]),
    "widgets.Dropdown({ options: { x: 10, y: 20 }, value: 20 })": lambda: ipywidgets.Dropdown(options={"x": 10, "y": 20}, value=20),
    'widgets.Text({ value: "t", placeholder: "type" })': lambda: ipywidgets.Text(value="t", placeholder="type"),
    "widgets.Text()": lambda: ipywidgets.Text(),
    "widgets.Checkbox({ value: true, indent: false })": lambda: ipywidgets.Checkbox(value=True, indent=False),
    'widgets.Button({ description: "Go", icon: "thumbs-up", button_style: "success" })': lambda: ipywidgets.Button(
        description="Go", icon="thumbs-up", button_style="success"
    ),
    'widgets.IntProgress({ max: 5, value: 2, bar_style: "info" })': lambda: ipywidgets.IntProgress(max=5, value=2, bar_style="info"),
    "widgets.Output()": lambda: ipywidgets.Output(),
    "widgets.HBox()": lambda: ipywidgets.HBox(),
    'widgets.VBox([], { box_style: "danger" })': lambda: ipywidgets.VBox([], box_style="danger"),
}


def states(cell):
    """The states that comm_open messages of a cell carry, by their ids."""
    opened = [m for m in cell.messages if m["msg_type"] == "comm_open"]
    assert all(m["content"]["target_name"] == "jupyter.widget" and m["metadata"] == {"version": "2.1.0"} for m in opened)
    return {m["content"]["comm_id"]: m["content"]["data"]["state"] for m in opened}


def state_of(states, name):
    [(id, state)] = [(id, s) for id, s in states.items() if s["_model_name"] == name]
    return id, state


def updates(messages, id):
    return [m["content"]["data"] for m in messages if m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == id]


def update(kernel, id, **state):
    """A change that a view makes; returns what the kernel publishes."""
    return answer(kernel, "comm_msg", comm_id=id, data={"method": "update", "state": state, "buffer_paths": []})


@pytest.mark.parametrize("code", SAME)
def test_states_are_those_of_ipywidgets(kernel, code):
    cell = kernel.run(code)
    assert cell.reply["status"] == "ok", cell.error
    all_states = states(cell)
    view = cell.all("execute_result")[0]["data"]["application/vnd.jupyter.widget-view+json"]
    assert (view["version_major"], view["version_minor"]) == (2, 0)
    mine, theirs = all_states[view["model_id"]], json.loads(json.dumps(SAME[code]().get_state()))
    parts = [name for name in ("layout", "style") if name in theirs]
    for name in parts:
        part = all_states[mine[name].removeprefix("IPY_MODEL_")]
        wanted = json.loads(json.dumps(getattr(SAME[code](), name).get_state()))
        assert part == wanted
    assert {k: v for k, v in mine.items() if k not in parts} == {k: v for k, v in theirs.items() if k not in parts}
    assert len(all_states) == 1 + len(parts)


def test_the_state_of_anywidget(kernel):
    class Counter(anywidget.AnyWidget):
        _esm, _css = "export default { render() {} }", "b {}"
        count = traitlets.Int(3).tag(sync=True)

    own = ("_anywidget_id", "_model_module_version", "_view_module_version", "layout")
    _, mine = state_of(states(kernel.run('widgets.AnyWidget({ esm: "export default { render() {} }", css: "b {}", state: { count: 3 } })')), "AnyModel")
    theirs = json.loads(json.dumps(Counter().get_state()))
    assert mine.keys() == theirs.keys()
    assert {k: v for k, v in mine.items() if k not in own} == {k: v for k, v in theirs.items() if k not in own}
    assert "esm" in kernel.run('widgets.AnyWidget({ esm: "" })').error["evalue"]


def test_a_text_and_a_picture_of_html_stand_for_a_widget(kernel):
    data = kernel.run('widgets.HBox([widgets.IntSlider({ description: "<n>", value: 3 }), widgets.Text({ value: "t" })])').all("execute_result")[0]["data"]
    assert data["text/plain"] == "HBox(\n  IntSlider(description='<n>', value=3, min=0, max=100)\n  Text(value='t')\n)"
    assert "&#60;n&#62;" in data["text/html"] and "<n>" not in data["text/html"]


def test_a_view_changes_the_state(kernel):
    cell = kernel.run('const rate = widgets.FloatSlider({ max: 1, value: 0.5 }); rate.onChange("value", (now, old) => console.log(old, "->", now)); rate')
    id, _ = state_of(states(cell), "FloatSliderModel")
    messages = update(kernel, id, value=0.25)
    assert updates(messages, id) == [{"method": "echo_update", "state": {"value": 0.25}, "buffer_paths": []}]
    printed = [m for m in messages if m["msg_type"] == "stream"]
    # Under the cell that listens, where the reader looks, not under the message that no cell shows.
    printed += [] if printed else kernel.late(5, ("stream",), count=1)
    assert printed[0]["content"]["text"] == "0.5 -> 0.25\n" and printed[0]["parent_header"]["msg_id"] == cell.id
    assert kernel.run("rate.value").result == "0.25"
    # Beyond its range: the view hears what became of it.
    assert updates(update(kernel, id, value=7), id)[-1] == {"method": "update", "state": {"value": 1}, "buffer_paths": []}
    assert kernel.run("rate.value").result == "1"
    kernel.late(0.2)
    assert updates(update(kernel, id, value=1, nonsense=3, _model_name="X"), id)[0]["state"] == {"value": 1, "_model_name": "X"}


def test_a_cell_changes_the_state(kernel):
    id, _ = state_of(states(kernel.run("const steps = widgets.IntProgress({ max: 100_000 }); steps")), "IntProgressModel")
    cell = kernel.run('for (let i = 1; i <= 100_000; i++) steps.value = i; steps.set({ bar_style: "success", description: "done" })')
    sent = updates(cell.messages, id)
    assert 1 < len(sent) < 100 and sent[-1]["state"]["value"] == 100_000
    final = {k: v for each in sent for k, v in each["state"].items()}
    assert final == {"value": 100_000, "bar_style": "success", "description": "done"}
    assert updates(kernel.run("steps.value = 100_000").messages, id) == []
    layout = kernel.run('steps.layout.width = "50%"; steps.layout.width')
    assert layout.result == "'50%'" and [m["content"]["data"]["state"] for m in layout.messages if m["msg_type"] == "comm_msg"] == [{"width": "50%"}]


@pytest.mark.parametrize(
    "code, said",
    {
        'widgets.IntSlider({ vlaue: 3 } as any)': '"vlaue"',
        "widgets.IntSlider({ value: 1.5 })": "whole number",
        "widgets.FloatSlider({ min: 2, max: 1 })": "at most max",
        'widgets.FloatSlider({ value: "3" as any })': "number",
        'widgets.Dropdown({ options: ["a"] as string[], value: "b" })': "'b'",
        "widgets.HBox([5 as any])": "children",
        'widgets.Button().onClick("f" as any)': "function",
        'widgets.IntSlider().onChange("vlaue" as any, () => {})': '"vlaue"',
        "widgets.interact(3 as any, {})": "function",
        "widgets.interact(() => {}, { a: null as any })": '"a"',
    }.items(),
)
def test_errors_name_what_is_wrong(kernel, code, said):
    cell = kernel.run(code)
    assert said in cell.error["evalue"], cell.error
    assert cell.error["ename"] in ("TypeError", "RangeError")


def test_types(kernel):
    assert kernel.run('widgets.IntSlider({ vlaue: 3 })').error["ename"] == "TS2561"
    assert kernel.run('const n: string = widgets.IntSlider().value').error["ename"] == "TS2322"
    assert kernel.run('const c: "a" | "b" | null = widgets.Dropdown({ options: ["a", "b"] }).value; c').result == "'a'"
    kernel.run('const pairs = widgets.Dropdown({ options: [["one", 1], ["two", 2]] })')
    assert kernel.run("const p: string | null = pairs.value").error["ename"] == "TS2322"
    assert kernel.run("pairs.value = 2; [pairs.value, pairs.label, pairs.index, pairs.options]").result == "[ 2, 'two', 1, [ 1, 2 ] ]"
    wrong = "widgets.interact(({ rate, kind, on }) => { const r: number = rate; const k: 'a' | 'b' = kind; const o: string = on }, { rate: [0, 1, 0.1], kind: ['a', 'b'], on: true })"
    assert kernel.run(wrong).error["evalue"].startswith("Type 'boolean' is not assignable to type 'string'")
    assert kernel.run("widgets.Button().value").error["ename"] == "TS2339"


def test_a_choice_is_made_in_the_view(kernel):
    id, _ = state_of(states(kernel.run('const kind = widgets.Dropdown({ options: { adam: 1, sgd: 2 } }); kind')), "DropdownModel")
    kernel.run('let chosen: unknown[] = []; kind.onChange("value", (v) => chosen.push(v)); kind.onChange("label", (l) => chosen.push(l))')
    update(kernel, id, index=1)
    assert kernel.run("[kind.value, chosen]").result == "[ 2, [ 2, 'sgd' ] ]"
    sent = kernel.run('kind.options = ["x"] as any; kind.value')
    assert sent.result == "'x'" and updates(sent.messages, id)[-1]["state"] == {"_options_labels": ["x"], "index": 0}
    errors = [m for m in update(kernel, id, index=9) if m["msg_type"] == "error"]
    assert "below 1" in errors[0]["content"]["evalue"]


def click(kernel, id, event="click"):
    return answer(kernel, "comm_msg", comm_id=id, data={"method": "custom", "content": {"event": event}})


def test_thumbs_collect_answers(kernel):
    cell = kernel.run(
        """const answers: string[] = [];
        const [up, down] = ["up", "down"].map((side) => widgets.Button({ icon: `thumbs-${side}` }));
        up.onClick(() => { answers.push("good") });
        down.onClick(async () => { await null; answers.push("bad") });
        widgets.HBox([up, down])"""
    )
    by_icon = {s.get("icon"): id for id, s in states(cell).items()}
    [box] = [s for s in states(cell).values() if s["_model_name"] == "HBoxModel"]
    assert box["children"] == [f"IPY_MODEL_{by_icon['thumbs-up']}", f"IPY_MODEL_{by_icon['thumbs-down']}"]
    for side in ["up", "down", "up"]:
        click(kernel, by_icon[f"thumbs-{side}"])
    click(kernel, by_icon["thumbs-up"], "hover")
    assert kernel.run("answers").result == "[ 'good', 'bad', 'good' ]"


def test_a_cell_waits_for_a_click(kernel):
    id, _ = state_of(states(kernel.run("const go = widgets.Button(); const amount = widgets.IntSlider(); 0")), "ButtonModel")
    slider = kernel.run("amount.id").result.strip("'")
    cell = kernel.client.execute('await go.clicked(); const v = await amount.changed("value"); v')
    time.sleep(0.3)
    send(kernel, "comm_msg", comm_id=id, data={"method": "custom", "content": {"event": "click"}})
    send(kernel, "comm_msg", comm_id=slider, data={"method": "update", "state": {"value": 8}, "buffer_paths": []})
    assert kernel.collect(cell).result == "8"


def test_errors_of_handlers_are_shown_under_their_cell(kernel):
    cell = kernel.run('const bad = widgets.Button(); bad.onClick(() => { throw new RangeError("in handler") }); bad')
    id, _ = state_of(states(cell), "ButtonModel")
    sent = send(kernel, "comm_msg", comm_id=id, data={"method": "custom", "content": {"event": "click"}})
    messages = kernel.late(10, ("error",), count=1)
    assert messages[0]["content"]["evalue"] == "in handler" and messages[0]["parent_header"]["msg_id"] == cell.id != sent


def outputs_of(kernel, name):
    return json.loads(kernel.run(f"JSON.stringify({name}.outputs)").result.strip("'").replace("\\\\", "\\").replace("\\'", "'"))


def test_output_is_captured(kernel):
    cell = kernel.run(
        """const out = widgets.Output();
        console.log("before");
        out.capture(() => { console.log("a"); console.log("b"); console.error("e"); display({ toHTML: () => "<i>x</i>" }) });
        console.log("after"); out"""
    )
    assert cell.stdout == "before\nafter\n" and cell.stderr == "" and cell.all("display_data") == []
    stdout, stderr, shown = outputs_of(kernel, "out")
    assert stdout == {"output_type": "stream", "name": "stdout", "text": "a\nb\n"} and stderr["text"] == "e\n"
    assert shown["output_type"] == "display_data" and shown["data"]["text/html"] == "<i>x</i>"
    assert cell.all("execute_result")[0]["data"]["text/plain"].startswith("Output(\na\nb\ne\n")
    id, state = state_of(states(cell), "OutputModel")
    assert updates(cell.messages, id)[-1]["state"]["outputs"] == [stdout, stderr, shown]
    # What it begins belongs to it, also late; displays are updated in place.
    cell = kernel.run('out.clear(); const pending = out.capture(async () => { const h = display(1); await new Promise((r) => setTimeout(r, 150)); h.update(2); console.log("late") }); console.log("meanwhile"); await pending')
    assert cell.stdout == "meanwhile\n"
    assert [o.get("text") or o["data"]["text/plain"] for o in outputs_of(kernel, "out")] == ["2", "late\n"]
    cell = kernel.run('out.clear(); out.append("shown"); out.capture(() => { clearOutput(true); throw new Error("inside") })')
    assert cell.error["evalue"] == "inside"
    [error] = outputs_of(kernel, "out")
    assert error["output_type"] == "error" and error["evalue"] == "inside"


def test_a_slider_redraws_a_figure(kernel):
    cell = kernel.run(
        """const ui = widgets.interact(({ power, title }) => {
          console.log("power", power);
          return { data: [{ type: "scatter", x: [1, 2, 3], y: [1, 2, 3].map((x) => x ** power) }], layout: { title: { text: title } } };
        }, { power: [1, 4], title: "Powers" }); ui""",
        timeout=60,
    )
    all_states = states(cell)
    slider, state = state_of(all_states, "IntSliderModel")
    assert (state["min"], state["max"], state["value"], state["description"]) == (1, 4, 2, "power")
    output, _ = state_of(all_states, "OutputModel")

    def y(messages):
        outputs = updates(messages, output)[-1]["state"]["outputs"]
        assert [o["output_type"] for o in outputs] == ["stream", "display_data"]
        return outputs[1]["data"]["application/vnd.plotly.v1+json"]["data"][0]["y"]

    assert y(cell.messages) == [1, 4, 9]
    messages = update(kernel, slider, value=3)
    while not updates(messages, output):
        messages += kernel.late(10, ("comm_msg",), count=1)
    time.sleep(0.2)
    messages += kernel.late(0.3)
    assert y(messages) == [1, 8, 27]
    text, _ = state_of(all_states, "TextModel")
    assert all_states[text]["value"] == "Powers"


def test_interact_with_an_asynchronous_function(kernel):
    kernel.run(
        """const calls: number[] = [];
        const slow = widgets.interact(async ({ n }) => { await new Promise((r) => setTimeout(r, 200)); if (n === 5) throw new Error("five"); calls.push(n); return n }, { n: widgets.IntSlider({ max: 9 }) });
        const [n] = slow.children; n.value = 1; n.value = 2; n.value = 3; await new Promise((r) => setTimeout(r, 900))"""
    )
    assert kernel.run("calls").result == "[ 0, 3 ]"
    cell = kernel.run("n.value = 5; await new Promise((r) => setTimeout(r, 400)); n.value = 6; await new Promise((r) => setTimeout(r, 400)); calls")
    assert cell.result == "[ 0, 3, 6 ]" and cell.all("error") == []
    assert [o["data"]["text/plain"] for o in outputs_of(kernel, "slow.children[1]")] == ["6"]
    assert kernel.run('widgets.interact(() => { throw new Error("at once") }, {})').error["evalue"] == "at once"


def test_buffers_in_the_state(kernel):
    cell = kernel.run('const picture = widgets.AnyWidget({ esm: "export default {}", state: { pixels: new Uint8Array([1, 2, 3]), list: [new Float32Array([0.5]), 7] } }); picture')
    [opened] = [m for m in cell.messages if m["msg_type"] == "comm_open" and m["content"]["data"]["state"]["_model_name"] == "AnyModel"]
    data = opened["content"]["data"]
    assert data["buffer_paths"] == [["pixels"], ["list", 0]] and "pixels" not in data["state"] and data["state"]["list"] == [None, 7]
    assert [bytes(b) for b in opened["buffers"]] == [b"\x01\x02\x03", b"\x00\x00\x00?"]
    id = opened["content"]["comm_id"]
    sent = send(kernel, "comm_msg", comm_id=id, data={"method": "update", "state": {"list": [None, 8]}, "buffer_paths": [["pixels"], ["list", 0]]}, buffers=[b"\x09", b"\x00\x00\x80?"])
    [echo] = kernel.outputs(sent)[1:-1]
    assert echo["content"]["data"]["method"] == "echo_update" and [bytes(b) for b in echo["buffers"]] == [b"\x00\x00\x80?", b"\x09"]
    assert kernel.run("[picture.pixels, new Float32Array((picture.list[0] as any).buffer)[0], picture.list[1]]").result == "[ Uint8Array(1) [ 9 ], 1, 8 ]"
    kernel.run('let got: unknown; picture.onMessage((content, [bytes]) => { got = [content, bytes] }); 0')
    kernel.outputs(send(kernel, "comm_msg", comm_id=id, data={"method": "custom", "content": {"hi": 1}}, buffers=[b"\x05"]))
    assert kernel.run("got").result == "[ { hi: 1 }, Uint8Array(1) [ 5 ] ]"
    [custom] = [m for m in kernel.run("picture.send({ up: 1 }, [new Uint8Array([4])])").messages if m["msg_type"] == "comm_msg"]
    assert custom["content"]["data"] == {"method": "custom", "content": {"up": 1}} and bytes(custom["buffers"][0]) == b"\x04"


def test_a_page_that_is_loaded_anew_gets_all_states(own_kernel):
    kernel = own_kernel
    cell = kernel.run('const s = widgets.IntSlider({ value: 4 }); const a = widgets.AnyWidget({ esm: "export default {}", state: { raw: new Uint8Array([1]) } }); s.value = 5')
    known = kernel.request("comm_info_request", target_name="jupyter.widget")["comms"]
    assert set(known) == set(states(cell))
    answer(kernel, "comm_open", comm_id="ctl", target_name="jupyter.widget.control", data={})
    sent = send(kernel, "comm_msg", comm_id="ctl", data={"method": "request_states"})
    [reply] = kernel.outputs(sent)[1:-1]
    data = reply["content"]["data"]
    assert data["method"] == "update_states" and set(data["states"]) == set(known)
    id, _ = state_of(states(cell), "IntSliderModel")
    assert data["states"][id]["model_name"] == "IntSliderModel" and data["states"][id]["model_module"] == "@jupyter-widgets/controls"
    assert data["states"][id]["state"]["value"] == 5
    any_id, _ = state_of(states(cell), "AnyModel")
    assert data["buffer_paths"] == [[any_id, "state", "raw"]] and bytes(reply["buffers"][0]) == b"\x01"
    # One widget may also be asked alone.
    [one] = answer(kernel, "comm_msg", comm_id=id, data={"method": "request_state"})
    assert one["content"]["data"]["method"] == "update" and one["content"]["data"]["state"]["value"] == 5
    closed = kernel.run("s.close()").all("comm_close")
    assert id in {c["comm_id"] for c in closed} and len(closed) == 3
    assert id not in kernel.request("comm_info_request")["comms"]
