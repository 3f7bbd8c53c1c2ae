"""
What the public suites run in each kernel: the same in its language, and where there is a way in this kernel, with the words its documentation has.
A sample that is None says that the kernel documents no way to do it.
"""

import os

# The suites run on our kernel, or on a peer for the table in the kernel's README: `npm run bench -- suites` names it.
SUBJECT = os.environ.get("SUITE_KERNEL", "whetstone")

PYTHON = {
    # jupyter_kernel_test's names for its samples
    "suite": {
        "language_name": "python",
        "file_extension": ".py",
        "code_hello_world": "print('hello, world')",
        "code_stderr": "import sys; print('x', file=sys.stderr)",
        "completion_samples": [{"text": "prin", "matches": {"print"}}, {"text": "isinst", "matches": {"isinstance"}}],
        "complete_code_samples": ["1", "a: int = 1", "def f():\n  return 1\n", ""],
        "incomplete_code_samples": ["def f():", "s = '''text", "[1, 2,", "if True:\n  1"],
        "invalid_code_samples": ["def = 7q", "1 +* 2"],
        "code_page_something": "print?",
        "code_generate_error": "raise ValueError('as wanted')",
        "code_execute_result": [
            {"code": "1 + 2", "result": "3"},
            {"code": "'text'", "result": "'text'"},
            {"code": "[x * 2 for x in [1, 2, 3]]", "result": "[2, 4, 6]"},
            {"code": "from IPython.display import HTML; HTML('<b>x</b>')", "result": "<b>x</b>", "mime": "text/html"},
        ],
        "code_display_data": [
            {"code": f"from IPython.display import display; display({{{mime!r}: {data}, 'text/plain': ''}}, raw=True)", "mime": mime}
            for mime, data in {
                "text/html": "'<b>x</b>'",
                "text/markdown": "'**x**'",
                "text/latex": "'$x$'",
                "image/svg+xml": "'<svg/>'",
                "image/png": "'iVBORw0KGgo='",
                "application/json": "{'a': 1}",
            }.items()
        ],
        "code_history_pattern": "*x * 2 for*",
        "supported_history_operations": ("tail", "range", "search"),
        "code_inspect_sample": "print",
        "code_clear_output": "from IPython.display import clear_output; clear_output()",
    },
    "error": "ZeroDivisionError",
    "print": "print('hello')",
    "print to stderr": "import sys; print('error', file=sys.stderr)",
    "assign": "x = 1",
    "assign text": "b = 'abcþ😀'",
    "incomplete": "def foo(",
    "invalid": "raise = 2",
    "syntax error": "def class",
    "open list": "a = [1,\n2,",
    "cell magic": "%%timeit\na\n\n",
    "variable": "test_variable_for_completion = 42",
    "prefix": "test_variable_for_",
    "name": "test_variable_for_completion",
    "display": "from IPython.display import display, HTML; display(HTML('<b>bold</b>'))",
    "display a number": "from IPython.display import display; display(1)",
    "update": "from IPython.display import display, HTML, update_display; h = display(HTML('<b>a</b>'), display_id=True); "
    "update_display(HTML('<b>b</b>'), display_id=h.display_id)",
    "clear": "from IPython.display import clear_output; clear_output()",
    "rich value": "from IPython.display import HTML; HTML('<b>bold</b>')",
    "ask": "print(input('Enter: '))",
    "pause": "import asyncio; await asyncio.sleep({seconds})",
    "fail late": "import asyncio; await asyncio.sleep(0.5); raise ValueError()",
    "throw": "1/0",
    "throw while shown": "class Test:\n    def __repr__(self): 1 / 0\nTest()",
    "view's error": "division by zero",
    "show a caught error": "try: 1/0\nexcept: get_ipython().showtraceback()",
    "number": "a = 5",
    "number is known as": ["int", "5"],
    "two names": "alpha = albert = 5",
    "function": 'def documented(first):\n    """Says what it does."""\n    return first * 12345',
    "next input": "for i in range(3): get_ipython().set_next_input('Hello There')",
    "late by task": "import asyncio\nasync def task():\n    for i in range(5):\n        print(i, flush=True)\n        await asyncio.sleep(0.05)\n"
    "kept = asyncio.get_event_loop().create_task(task());",
    "late by timers": "from threading import Timer\nparent = get_ipython().get_parent()\ndef step(i):\n    get_ipython().set_thread_parent(parent)\n"
    "    print(i, flush=True)\n    if i < 4: Timer(0.05, step, [i + 1]).start()\nTimer(0.05, step, [0]).start()",
    "late by thread": "from threading import Thread\nfrom time import sleep\nparent = get_ipython().get_parent()\ndef count():\n"
    "    get_ipython().set_thread_parent(parent)\n    for i in range(5):\n        print(i, flush=True)\n        sleep(0.05)\nThread(target=count).start()",
    "late displays": "import asyncio\nfrom IPython.display import display\nasync def task():\n    for i in range(3):\n        display(i)\n"
    "        await asyncio.sleep(0.1)\nkept = asyncio.get_event_loop().create_task(task());",
    "run a child": "import os, time; status = os.system('echo from a child'); time.sleep(0.5)",
    "run a child of two writers": "import subprocess, time; status = subprocess.run(['sh', '-c', 'echo one; sh -c \"echo two\"']); time.sleep(0.5)",
    "five children": "import multiprocessing as mp\nmp.set_start_method('fork', force=True)\npool = [mp.Process(target=print, args=('hello', i)) for i in range(5)]\n"
    "for p in pool: p.start()\nfor p in pool: p.join()\nimport time; time.sleep(0.5)",
    "five silent children": "import multiprocessing as mp\nmp.set_start_method('fork', force=True)\npool = [mp.Process(target=range, args=(i,)) for i in range(5)]\n"
    "for p in pool: p.start()\nfor p in pool: p.join()",
    "child that fails": "import multiprocessing as mp\nmp.set_start_method('fork', force=True)\np = mp.Process(target=int, args=('hi',))\np.start()\np.join()\n"
    "import time; time.sleep(0.5)",
    "child's error": "ValueError",
    "child that stays": "import subprocess; child = subprocess.Popen(['sleep', '60']); child.pid",
    "local file": ("beside_the_notebook.py", "answer = 42\n"),
    "import local file": "from beside_the_notebook import answer; answer",
    "write at three levels": "import os, sys, time\nos.write(1, b'descriptor\\n')\nprint('printed\\n', end='')\nsys.__stdout__.write('original\\n'); sys.__stdout__.flush()\ntime.sleep(0.5)",
    "stdout is no terminal": "import sys; sys.stdout.isatty()",
    "false": "False",
    "write in pieces": "import sys; sys.stdout.write('hi'); sys.stdout.writelines(['ab', 'cd']); sys.stdout.flush()",
    "context declared": "from contextvars import ContextVar; import asyncio\nvariable = ContextVar('variable', default='default')",
    "context used": "async def later():\n    await asyncio.sleep(0.1); print(variable.get())\nvariable.set('set'); task = asyncio.create_task(later()); variable.set('changed'); await task",
    "counter": "n = 0",
    "count": "n += 1\nprint(n)",
    "hang in a loop": "while True: pass",
    "hang in a promise": "print('begun', flush=True); import asyncio; await asyncio.sleep(30)",
    "kernel's comm": "from comm import create_comm\nc = create_comm('suite.target', comm_id='from-the-kernel', data={'a': 1})\n"
    "c.on_msg(lambda m: c.send({'twice': m['content']['data']['n'] * 2}))",
    "client's comm": "from comm import get_comm_manager\ndef opened(c, message): c.on_msg(lambda m: c.send({'twice': m['content']['data']['n'] * 2}))\n"
    "get_comm_manager().register_target('suite.echo', opened)",
}

TYPESCRIPT = {
    "suite": {
        "language_name": "typescript",
        "file_extension": ".ts",
        "code_hello_world": 'console.log("hello, world")',
        "code_stderr": 'console.error("x")',
        "completion_samples": [{"text": "parseIn", "matches": {"parseInt"}}, {"text": "console.tabl", "matches": {"table"}}],
        "complete_code_samples": ["1", "const a: number = 1", "function f() {\n  return 1;\n}", "await Promise.resolve(1)", ""],
        "incomplete_code_samples": ["function f() {", "const s = `text", "[1, 2,", "/* comment", "if (true) {\n  1"],
        "invalid_code_samples": ["let = 7q", "const const a = 1", "1 +* 2"],
        "code_page_something": "",
        "code_generate_error": "throw new Error('as wanted')",
        "code_execute_result": [
            {"code": "1 + 2", "result": "3"},
            {"code": "'text'", "result": "'text'"},
            {"code": "[1, 2, 3].map((x) => x * 2)", "result": "[ 2, 4, 6 ]"},
            {"code": "({ [Symbol.for('Jupyter.display')]: () => ({ 'text/html': '<b>x</b>' }) })", "result": "<b>x</b>", "mime": "text/html"},
        ],
        "code_display_data": [],
        "code_history_pattern": "*map(*",
        "supported_history_operations": ("tail", "range", "search"),
        "code_inspect_sample": "parseInt",
        "code_clear_output": "",
    },
    "error": "RangeError",
    "print": "console.log('hello')",
    "print to stderr": "console.error('error')",
    "assign": "var x = 1",
    "assign text": "var b = 'abcþ😀'",
    "incomplete": "const x = {",
    "invalid": "let = 7q",
    "syntax error": "function function",
    "open list": "let a = [1,\n2,",
    "cell magic": None,
    "variable": "let testVariableForCompletion = 42",
    "prefix": "testVariableFor",
    "name": "testVariableForCompletion",
    "display": None,
    "display a number": None,
    "update": None,
    "clear": None,
    "rich value": "({ [Symbol.for('Jupyter.display')]: () => ({ 'text/plain': 'bold', 'text/html': '<b>bold</b>' }) })",
    "ask": "console.log(prompt('Enter: '))",
    "pause": "await new Promise((r) => setTimeout(r, {seconds} * 1000))",
    "fail late": "await new Promise((r) => setTimeout(r, 500)); throw new Error('late')",
    "throw": "throw new RangeError('wrong')",
    "throw while shown": "({ [Symbol.for('Jupyter.display')]() { throw new Error('no view') } })",
    "view's error": "no view",
    "show a caught error": "try { throw new Error('caught') } catch (error) { console.error(error) }",
    "number": "let a = 5",
    "number is known as": ["number", "5"],
    "two names": "let alpha = 5, albert = 5",
    "function": "/** Says what it does. */\nfunction documented(first: number) {\n  return first * 12345;\n}",
    "next input": None,
    "late by task": "void (async () => { for (let i = 0; i < 5; i++) { console.log(i); await new Promise((r) => setTimeout(r, 50)) } })()",
    "late by timers": "const step = (i: number) => { console.log(i); if (i < 4) setTimeout(step, 50, i + 1) }; void setTimeout(step, 50, 0)",
    "late by thread": "import { Worker as Thread } from 'node:worker_threads';\nvoid new Thread(`let i = 0; const t = setInterval(() => "
    "{ console.log(i); if (++i === 5) clearInterval(t) }, 50)`, { eval: true })",
    "late displays": None,
    "run a child": "import { execSync } from 'node:child_process'; void execSync('echo from a child', { stdio: 'inherit' })",
    "run a child of two writers": "import { execSync } from 'node:child_process'; void execSync('echo one; sh -c \"echo two\"', { stdio: 'inherit' })",
    "five children": "import { spawn } from 'node:child_process'; import { once } from 'node:events';\nawait Promise.all([0, 1, 2, 3, 4].map((i) => "
    "once(spawn('sh', ['-c', `echo hello ${i}`], { stdio: 'inherit' }), 'close'))); undefined",
    "five silent children": "import { spawn } from 'node:child_process'; import { once } from 'node:events';\nawait Promise.all([0, 1, 2, 3, 4].map(() => "
    "once(spawn('true', [], { stdio: 'inherit' }), 'close'))); undefined",
    "child that fails": "import { spawnSync } from 'node:child_process';\n"
    "void spawnSync('sh', ['-c', 'echo ValueError >&2; exit 1'], { stdio: 'inherit' })",
    "child's error": "ValueError",
    "child that stays": "import { spawn } from 'node:child_process'; const stays = spawn('sleep', ['60']); stays.pid",
    "local file": ("beside-the-notebook.ts", "export const answer: number = 42;\n"),
    "import local file": "import { answer } from './beside-the-notebook.ts'; answer",
    "write at three levels": "import { writeSync } from 'node:fs';\nwriteSync(1, 'descriptor\\n'); console.log('printed'); process.stdout.write('original\\n'); "
    "await new Promise((r) => setTimeout(r, 500)); undefined",
    "stdout is no terminal": "Boolean(process.stdout.isTTY)",
    "false": "false",
    "write in pieces": "process.stdout.write('hi'); process.stdout.write('ab'); process.stdout.write('cd'); undefined",
    "context declared": "import { AsyncLocalStorage } from 'node:async_hooks'; const variable = new AsyncLocalStorage<string>()",
    "context used": "const later = async () => { await new Promise((r) => setTimeout(r, 100)); console.log(variable.getStore()) };\n"
    "variable.enterWith('set'); const task = later(); variable.enterWith('changed'); await task",
    "counter": "let n = 0",
    "count": "n += 1\nconsole.log(n)",
    "hang in a loop": "for (;;) {}",
    "hang in a promise": "console.log('begun'); await new Promise((r) => setTimeout(r, 30_000))",
    "kernel's comm": None,
    "client's comm": None,
}

MIMES = {
    "text/html": "'<b>x</b>'",
    "text/markdown": "'**x**'",
    "text/latex": "'$x$'",
    "image/svg+xml": "'<svg/>'",
    "image/png": "'iVBORw0KGgo='",
    "application/json": "{ a: 1 }",
}

WHETSTONE = {
    **TYPESCRIPT,
    "suite": {
        **TYPESCRIPT["suite"],
        "complete_code_samples": [*TYPESCRIPT["suite"]["complete_code_samples"], "parseInt?"],
        "code_page_something": "parseInt?",
        "code_execute_result": [*TYPESCRIPT["suite"]["code_execute_result"], {"code": "({ toHTML: () => '<i>x</i>' })", "result": "<i>x</i>", "mime": "text/html"}],
        "code_display_data": [
            {"code": f"display({{ {mime!r}: {data}, 'text/plain': '' }}, {{ raw: true }})", "mime": mime} for mime, data in MIMES.items()
        ],
        "code_clear_output": "clearOutput()",
    },
    "cell magic": "%%time\nparseInt('1')\n\n",
    "display": "display({ 'text/html': '<b>bold</b>', 'text/plain': 'bold' }, { raw: true })",
    "display a number": "display(1)",
    "update": "const h = display({ 'text/html': '<b>a</b>' }, { raw: true, id: 'suite' }); h.update({ 'text/html': '<b>b</b>' })",
    "clear": "clearOutput()",
    "next input": "%load beside-the-notebook.ts",
    "late displays": "void (async () => { for (let i = 0; i < 3; i++) { display(i); await new Promise((r) => setTimeout(r, 100)) } })()",
    "kernel's comm": "const c = comms.open('suite.target', { a: 1 }); c.onMessage(({ data }) => c.send({ twice: data.n * 2 }))",
    "client's comm": "comms.register('suite.echo', (comm) => { comm.onMessage(({ data }) => comm.send({ twice: data.n * 2 })) })",
}

DENO_COMM = "await Deno.jupyter.broadcast('comm_open', { comm_id: 'from-the-kernel', target_name: 'suite.target', data: { a: 1 } })"
DENO = {
    **TYPESCRIPT,
    "suite": {
        **TYPESCRIPT["suite"],
        "code_execute_result": [
            {**each, "result": '"text"'} if each["code"] == "'text'" else each for each in TYPESCRIPT["suite"]["code_execute_result"]
        ],
        "code_display_data": [
            {"code": f"await Deno.jupyter.display({{ {mime!r}: {data} }}, {{ raw: true }})", "mime": mime} for mime, data in MIMES.items()
        ],
        "code_clear_output": "await Deno.jupyter.broadcast('clear_output', { wait: false })",
    },
    "display": "await Deno.jupyter.display({ 'text/html': '<b>bold</b>' }, { raw: true })",
    "display a number": "await Deno.jupyter.display(1)",
    "update": "await Deno.jupyter.display({ 'text/html': '<b>a</b>' }, { raw: true, display_id: 'suite' }); "
    "await Deno.jupyter.display({ 'text/html': '<b>b</b>' }, { raw: true, display_id: 'suite', update: true })",
    "clear": "await Deno.jupyter.broadcast('clear_output', { wait: false })",
    "late displays": "void (async () => { for (let i = 0; i < 3; i++) { await Deno.jupyter.display(i); await new Promise((r) => setTimeout(r, 100)) } })()",
    # It can open a comm by a raw message, and hears none of those that come back.
    "kernel's comm": DENO_COMM,
}

TSLAB_IMPORT = "import * as tslab from 'tslab';\n"
TSLAB = {
    **TYPESCRIPT,
    "suite": {
        **TYPESCRIPT["suite"],
        "code_display_data": [
            {"code": TSLAB_IMPORT + code, "mime": mime}
            for mime, code in {
                "text/html": "tslab.display.html('<b>x</b>')",
                "text/markdown": "tslab.display.markdown('**x**')",
                "text/latex": "tslab.display.raw('text/latex', '$x$')",
                "image/svg+xml": "tslab.display.svg('<svg/>')",
                "image/png": "tslab.display.png(Buffer.from('iVBORw0KGgo=', 'base64'))",
                "application/json": "tslab.display.raw('application/json', '{}')",
            }.items()
        ],
    },
    # It reads imports of local files without their ending.
    "import local file": "import { answer } from './beside-the-notebook'; answer",
    "display": TSLAB_IMPORT + "tslab.display.html('<b>bold</b>')",
    "display a number": TSLAB_IMPORT + "tslab.display.text('1')",
    "update": TSLAB_IMPORT + "const d = tslab.newDisplay(); d.html('<b>a</b>'); d.html('<b>b</b>')",
    "late displays": TSLAB_IMPORT
    + "(async () => { for (let i = 0; i < 3; i++) { tslab.display.text(String(i)); await new Promise((r) => setTimeout(r, 100)) } })(); undefined",
}

SAMPLES = {"whetstone": WHETSTONE, "ipykernel": PYTHON, "deno": DENO, "tslab": TSLAB}
