import pytest
from pydantic import ValidationError

from napari_selfdenoise import RequestError, TrainingConfig, recipe
from napari_selfdenoise.config import (
    DESCRIPTIONS,
    RECIPES,
    RULES,
    budget_text,
    parse_budget,
    parse_config,
)
from napari_selfdenoise.parts.masking import BinMask, GridMask, NoMask, RandomMask
from napari_selfdenoise.parts.noise_models import PoissonGaussianNoise, UnmodelledNoise


def test_a_setting_is_changed_by_its_dotted_name():
    changed = TrainingConfig().override({"seed": 3, "masking.fraction": 0.1})
    assert changed.seed == 3
    assert changed.masking == RandomMask(fraction=0.1)
    assert changed.network == TrainingConfig().network


def test_text_is_converted():
    changed = TrainingConfig().override({"network.width": "24", "augment": "false"})
    assert changed.network.width == 24
    assert changed.augment is False


def test_the_name_of_a_kind_chooses_the_member():
    changed = TrainingConfig().override(
        {"masking": "grid", "noise_model": "poisson_gaussian"}
    )
    assert changed.masking == GridMask()
    assert changed.noise_model == PoissonGaussianNoise()


@pytest.mark.parametrize(
    "names",
    [
        ["masking", "masking.spacing_min", "masking.spacing_max"],
        ["masking.spacing_max", "masking.spacing_min", "masking"],
    ],
)
def test_the_order_of_the_changes_does_not_matter(names):
    values = {"masking": "grid", "masking.spacing_min": 7, "masking.spacing_max": 9}
    changed = TrainingConfig().override({name: values[name] for name in names})
    assert changed.masking == GridMask(spacing_min=7, spacing_max=9)


def test_naming_the_kind_at_hand_keeps_its_settings():
    start = TrainingConfig(masking=RandomMask(fraction=0.1))
    assert start.override({"masking": "random"}) == start


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "nothing.at_all",
        "masking.nothing",
        "seed.nothing",
        "network.width.nothing",
        "masking.spacing_min",  # of the other kind
    ],
)
def test_an_unknown_setting_is_refused(name):
    with pytest.raises(RequestError, match=name.split(".")[0]):
        TrainingConfig().override({name: 1})


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("masking", "stripes", "random"),
        ("masking.fraction", 0.9, "less than or equal to 0.5"),
        ("masking.fraction", "much", "number"),
        ("steps", 0, "greater than or equal to 1"),
        ("patch_size", 8, "greater than or equal to 16"),
        ("objective", "beauty", "squared_error"),
        ("learning_rate", -1, "greater than 0"),
        ("network.depth", 9, "less than or equal to 5"),
        ("seed", None, "integer"),
        ("budget_s", 0, "greater than 0"),
    ],
)
def test_a_bad_value_is_refused_with_its_place_and_range(name, value, word):
    with pytest.raises(RequestError, match=word) as caught:
        TrainingConfig().override({name: value})
    assert name.split(".")[-1] in caught.value.message
    assert repr(value) in caught.value.message
    assert caught.value.hint


def test_every_bad_value_has_its_sentence():
    with pytest.raises(RequestError, match=r"steps: .* seed: "):
        parse_config({"steps": 0, "seed": -1})


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json(name):
    config = recipe(name)
    assert config.recipe == name
    assert TrainingConfig.model_validate_json(config.model_dump_json()) == config
    assert parse_config(config.model_dump(mode="json")) == config


def test_every_recipe_is_described():
    assert DESCRIPTIONS.keys() == RECIPES.keys()


def test_an_unknown_recipe_is_refused():
    with pytest.raises(RequestError, match="Choose one of fast, best"):
        recipe("slow")


def test_a_config_is_frozen():
    with pytest.raises(ValidationError):
        TrainingConfig().seed = 1
    with pytest.raises(ValidationError):
        TrainingConfig().masking.fraction = 0.1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60),
        ("60", 60),
        ("30 s", 30),
        ("2 min", 120),
        ("2min", 120),
        ("10 minutes", 600),
        ("1.5h", 5400),
        ("1,5 min", 90),
        ("1:30", 90),
        (" 0:45 ", 45),
        ("1:02:03", 3723),
        (" 5 sec ", 5),
        ("until I stop", None),
    ],
)
def test_budgets_are_durations(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["0", "0s", "-1", "0:00"])
def test_a_budget_must_leave_time(text):
    with pytest.raises(RequestError, match="leaves no time to learn"):
        parse_budget(text)


@pytest.mark.parametrize("text", ["abc", "", "s", "1.2.3s", "3 days", "1:75", ":30"])
def test_a_budget_that_is_none_is_refused(text):
    with pytest.raises(RequestError, match="is not a time"):
        parse_budget(text)


@pytest.mark.parametrize("seconds", [30.0, 60.0, 90.0, 600.0, None])
def test_a_budget_is_said_as_it_is_read(seconds):
    assert parse_budget(budget_text(seconds)) == seconds


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: " ".join(rule.parts))
def test_a_rule_is_about_the_settings_that_it_names(rule):
    """The documentation names them, and the form greys them out."""
    looked_at = set()

    class Watched:
        def __init__(self, config):
            self.config = config

        def __getattr__(self, name):
            looked_at.add({"per_image": "noise_model"}.get(name, name))
            return getattr(self.config, name)

    assert all(rule.holds(Watched(config)) for config in RECIPES.values())
    odd = RECIPES["pn2v"].model_copy(update={"noise_model": UnmodelledNoise()})
    for masking in (BinMask(), NoMask()):
        rule.holds(Watched(odd.model_copy(update={"masking": masking})))
    assert looked_at == set(rule.parts)
