"""A core generator in a thread gets every stop, and no error of it is lost."""

import importlib.util
import sys
import time
from types import ModuleType

import pytest
from qtpy.QtCore import QObject

from napari_selfdenoise.errors import DenoisingError, RequestError
from napari_selfdenoise.plugin.docks import triton
from napari_selfdenoise.plugin.docks.worker import Mailbox, Run, sentence


class Listener(QObject):
    """Collects what a run says."""

    def __init__(self):
        super().__init__()
        self.progress, self.results, self.errors, self.aborts = [], [], [], []

    def on_progress(self, progress):
        self.progress.append(progress)

    def on_result(self, result):
        self.results.append(result)

    def on_error(self, error):
        self.errors.append(error)

    def on_abort(self):
        self.aborts.append(True)

    def run(self, make):
        return Run(make, self.on_progress, self.on_result, self.on_error, self.on_abort)


@pytest.fixture
def listener(qtbot):
    return Listener()


def echo():
    """Yield what was sent last, until "stop" comes."""
    heard = []
    while "stop" not in heard:
        heard.append((yield tuple(heard)))
        time.sleep(0.005)
    return [message for message in heard if message is not None]


def test_stop_before_the_start_is_heard(listener, qtbot):
    run = listener.run(echo)
    run.send("stop", final=True)
    run.start()
    qtbot.waitUntil(lambda: bool(listener.results))
    assert listener.results == [["stop"]] and listener.progress == [()]


def test_nothing_follows_a_stop(listener, qtbot):
    run = listener.run(echo)
    run.start()
    qtbot.waitUntil(lambda: bool(listener.progress))
    run.send("look")
    run.send("stop", final=True)
    run.send("look again")
    qtbot.waitUntil(lambda: bool(listener.results))
    assert listener.results == [["stop"]]


def test_mailbox_keeps_the_last_message_and_gives_it_once():
    box = Mailbox()
    assert box.take() is None
    box.put("a")
    box.put("b")
    assert [box.take(), box.take()] == ["b", None]
    box.put("stop", final=True)
    box.put("c")
    assert [box.take(), box.take()] == ["stop", "stop"]


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("mat1 and mat2"), DenoisingError),
        (RequestError("No."), RequestError),
        (KeyError("x"), KeyError),
    ],
)
def test_errors_arrive_once(listener, qtbot, error, expected, steps):
    def fail():
        for _ in range(steps):
            yield 1
        raise error

    listener.run(fail).start()
    qtbot.waitUntil(lambda: bool(listener.errors))
    qtbot.wait(20)
    assert [type(error) for error in listener.errors] == [expected]
    assert str(error).strip("'") in sentence(listener.errors[0])
    assert not listener.results


def test_abandoned_run_gives_no_result(listener, qtbot):
    run = listener.run(echo)
    run.start()
    qtbot.waitUntil(lambda: bool(listener.progress))
    run.abandon()
    qtbot.waitUntil(lambda: bool(listener.aborts))
    assert not listener.results and not listener.errors


def test_nobody_is_called_who_is_gone(qtbot):
    listener = Listener()
    seen = listener.progress
    run = listener.run(echo)
    run.start()
    qtbot.waitUntil(lambda: bool(seen))
    listener.deleteLater()
    qtbot.wait(20)
    count = len(seen)
    qtbot.wait(50)
    assert len(seen) == count
    run.send("stop", final=True)


MESA = "7f00-7f01 r-xp 0 fe:00 1 /usr/lib/x86_64-linux-gnu/libLLVM-15.so.1\n"


@pytest.fixture
def libraries(tmp_path, monkeypatch):
    """The libraries of a process in which PyTorch has not looked for triton yet."""
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    path = tmp_path / "maps"
    path.write_text("")
    monkeypatch.setattr(triton, "LIBRARIES", path)
    yield path
    sys.modules.pop("triton", None)  # before what was there comes back


def test_triton_is_left_out_beside_the_llvm_of_mesa(libraries, listener, qtbot):
    """Else the process ends without a word, as triton is imported."""
    libraries.write_text(MESA)
    run = listener.run(echo)
    run.send("stop", final=True)
    run.start()
    qtbot.waitUntil(lambda: bool(listener.results))
    with pytest.raises(ImportError):
        importlib.import_module("triton")
    assert importlib.util.find_spec("triton") is None


def test_triton_stays_where_it_does_no_harm(libraries, monkeypatch):
    triton.keep_triton_out()
    assert "triton" not in sys.modules
    libraries.write_text(MESA)
    there = ModuleType("triton")  # before the window: in that order, both live
    monkeypatch.setitem(sys.modules, "triton", there)
    triton.keep_triton_out()
    assert sys.modules["triton"] is there
    monkeypatch.delitem(sys.modules, "triton")
    libraries.unlink()  # another system than Linux
    triton.keep_triton_out()
    assert "triton" not in sys.modules
