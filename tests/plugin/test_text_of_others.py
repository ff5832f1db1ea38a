"""Names of layers and files are shown as text, whatever Qt would take them for."""

import html

import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextDocument

from napari_selfdenoise.plugin.docks.panel import label
from napari_selfdenoise.plugin.docks.plain_text import plain_tip, without_tags
from napari_selfdenoise.plugin.docks.plots import Plot
from napari_selfdenoise.plugin.docks.status import Status
from napari_selfdenoise.plugin.noise_model.inspection_panel import InspectionPanel

HTML = "<img src='http://example.org/x.png'><b>cells</b>"


def as_qt_shows(text):
    """What a tooltip shows of a text."""
    if not Qt.mightBeRichText(text):
        return text
    document = QTextDocument()
    document.setHtml(text)
    return document.toPlainText()


@pytest.mark.parametrize(
    "text", [HTML, "a\n<i>b", "1 < 2", "cells.tif", "&lt;b&gt;", "<qt>&amp;"]
)
def test_a_tooltip_shows_a_name_letter_by_letter(qapp, text):
    assert as_qt_shows(plain_tip(text)) == text


@pytest.mark.parametrize("text", [HTML, "</b>", "<!-- x", "a <b"])
def test_nothing_in_a_notification_begins_a_tag(qapp, text):
    assert not Qt.mightBeRichText(without_tags(text))
    assert without_tags("1 < 2, <3") == "1 < 2, ‹3"


def test_labels_show_names_as_text(qtbot):
    plain = label("a")
    status = Status("status")
    plot = Plot("x", "y", None, HTML)
    for one in (plain, status, plot):
        qtbot.addWidget(one)
    for one in (plain, status, plot.promise):
        one.setText(HTML)
        assert one.textFormat() == Qt.TextFormat.PlainText


def test_noise_models_are_listed_by_their_plain_names(qtbot):
    panel = InspectionPanel()
    qtbot.addWidget(panel)
    panel.add(HTML, "#ff0000")
    item = panel.models.item(0)
    assert item.text() == HTML
    assert as_qt_shows(item.toolTip()) == HTML
    line = panel.std.line("a", *(panel_numbers(),) * 2, None, HTML)
    assert line.name() == html.escape(HTML)


def panel_numbers():
    import numpy as np

    return np.arange(3.0)


def test_what_is_saved_is_told_without_tags(tmp_path):
    import numpy as np

    from napari_selfdenoise.plugin.writers import write_calibrated

    heard = []
    notification_manager.notification_ready.connect(
        lambda notification: heard.append(notification.message)
    )
    path = tmp_path / "<b>cells.tif"
    write_calibrated(str(path), np.ones((8, 8), np.float32), {"name": "cells"})
    assert path.exists()
    assert any("‹b>cells.tif" in text for text in heard)
