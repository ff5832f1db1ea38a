"""Messages that unfold, and sections that fold."""

import subprocess
import sys

import pytest
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel

from napari_selfdenoise.plugin.docks.panel import Section
from napari_selfdenoise.plugin.docks.status import Status


@pytest.fixture
def status(qtbot):
    made = Status("status")
    qtbot.addWidget(made)
    made.resize(280, 100)
    return made


def test_notes_are_paragraphs_once_they_are_unfolded(status):
    status.say("Done.\nOne pixel was mended.", details="How.\nWhy.", second="A file.")
    assert QLabel.text(status) == "Done. One pixel was mended.\nA file."
    assert status.text() == "Done. One pixel was mended. How. Why. A file."
    status.details.setChecked(True)
    shown = ["Done.", "One pixel was mended.", "How.", "Why.", "A file."]
    assert QLabel.text(status).split("\n") == shown


def test_two_short_notes_have_nothing_to_unfold(status):
    status.say("Done.\nOne pixel was mended.")
    assert status.details.isHidden()


def test_arrows_of_a_section_have_the_colour_of_its_words(qtbot):
    """napari's themes are style sheets: black arrows would vanish on a dark one."""
    section = Section("method", "Method")
    qtbot.addWidget(section)
    for colour in ("#f0f1f2", "#123456"):
        section.setStyleSheet(f"QPushButton {{ color: {colour}; }}")
        section.show()
        for icon in (section.collapsedIcon(), section.expandedIcon()):
            picture = icon.pixmap(32, 32).toImage()
            places = range(picture.width()), range(picture.height())
            pixels = (picture.pixelColor(x, y) for x in places[0] for y in places[1])
            drawn = [pixel for pixel in pixels if pixel.alpha() == 255]
            assert drawn and set(map(QColor.name, drawn)) == {colour}


HANGING = """
import faulthandler, sys
from qtpy.QtCore import QSize
from qtpy.QtWidgets import QApplication, QWidget
from napari_selfdenoise.plugin.docks.panel import Panel

class Contrary(QWidget):
    def resizeEvent(self, event):
        self.setMinimumHeight(400 if self.width() > 285 else 50)

faulthandler.dump_traceback_later(20, exit=True)
app = QApplication(sys.argv)
panel = Panel()
panel.lay_out(Contrary())
panel.resize(300, 200)
panel.show()
for _ in range(50):
    app.processEvents()
print("calm")
"""


def test_a_scroll_bar_that_would_come_and_go_without_end_stays():
    """With the bar, all fits; without it, nothing does: Qt would turn for ever."""
    ended = subprocess.run(
        [sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=120
    )
    assert ended.stdout == "calm\n", ended.stderr
