"""The Diagnose button: a table below the image, and settings that it applies."""

import numpy as np
import pytest
from qtpy.QtWidgets import QPushButton

from napari_selfdenoise.plugin.denoise.diagnosing import TITLE

pytestmark = [pytest.mark.gl, pytest.mark.slow]


def rows_that_share_noise(side: int = 128) -> np.ndarray:
    """Flat light, and noise that follows the one before it along each row."""
    rng = np.random.default_rng(0)
    fresh = rng.normal(0, 10, (side, side + 20))
    noise = fresh.copy()
    for column in range(1, noise.shape[1]):
        noise[:, column] = 0.7 * noise[:, column - 1] + fresh[:, column]
    light = 500 + 100 * np.sin(np.arange(side) / 30)[:, None]
    return np.rint(light + noise[:, 20:]).astype(np.uint16)


def diagnosed(desk):
    """The table, once the button was pressed and the worker is done."""
    desk.controls.diagnose.click()
    assert not desk.controls.diagnose.isEnabled()
    desk.until(lambda: desk.widget._diagnoser.table is not None)
    assert desk.controls.diagnose.isEnabled()
    return desk.widget._diagnoser.table


def texts(table):
    grid = table.table
    return {
        grid.item(row, 0).text(): [
            grid.item(row, column).text() for column in range(1, 4)
        ]
        for row in range(grid.rowCount())
    }


def test_what_was_found_is_applied_at_a_press(open_desk):
    desk = open_desk()
    desk.viewer.add_image(rows_that_share_noise(), name="rows")
    desk.controls.budget.setCurrentText("10 min")
    table = diagnosed(desk)
    found = texts(table)
    assert "along x" in found["Correlation"][0]
    assert "Recommended recipe" in found
    x, rho = table.plot.series()["x"]
    assert rho[0] > 0.5 and list(x) == [1, 2, 3]
    assert TITLE in desk.viewer.window.dock_widgets
    # One row alone, then all.
    button = table.findChild(QPushButton, "apply.correlation")
    button.click()
    masking = desk.controls.part("masking").value
    assert (masking.kind, masking.axis) == ("line", "x")
    assert desk.controls.budget.currentText() == "10 min"
    table.apply_all.click()
    assert desk.controls.budget.currentText() == "1 min"
    assert desk.controls.part("masking").value.kind == "line"


def test_rows_are_as_high_as_their_words(open_desk):
    desk = open_desk(show=True)
    desk.viewer.add_image(rows_that_share_noise(), name="rows")
    grid = diagnosed(desk).table
    desk.until(lambda: all(grid.rowHeight(row) < 90 for row in range(grid.rowCount())))


def test_a_second_diagnosis_takes_the_place_of_the_first(open_desk):
    desk = open_desk()
    layer = desk.viewer.add_image(rows_that_share_noise(), name="rows")
    first = diagnosed(desk)
    layer.data = layer.data[:, ::-1]
    desk.widget._diagnoser.table = None
    second = diagnosed(desk)
    assert second is not first
    names = [name for name in desk.viewer.window.dock_widgets if name == TITLE]
    assert names == [TITLE]


def test_a_diagnosis_can_be_pressed_again_after_its_table_was_closed(open_desk):
    desk = open_desk()
    desk.viewer.add_image(rows_that_share_noise(), name="rows")
    diagnosed(desk)
    desk.widget._diagnoser._place.destroyOnClose()
    desk.widget._diagnoser.table = None
    assert "Axes" in texts(diagnosed(desk))


def test_what_cannot_be_measured_is_a_row_and_no_error(open_desk):
    desk = open_desk()
    desk.viewer.add_image(np.full((64, 64), 7, np.uint16), name="flat")
    found = texts(diagnosed(desk))
    assert not any(name.startswith("Recommended") for name in found)
    assert not desk.widget._diagnoser.table.apply_all.isEnabled()


def test_the_channel_in_view_is_diagnosed(open_desk):
    desk = open_desk()
    flat = np.full((128, 128), 7, np.uint16)
    both = np.stack([flat, rows_that_share_noise()])
    desk.viewer.add_image(both, name="two dyes", axis_labels=("c", "y", "x"))
    desk.viewer.dims.set_current_step(0, 1)
    assert "along x" in texts(diagnosed(desk))["Correlation"][0]
