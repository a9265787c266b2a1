"""What is wrong with a configuration is told whole, whoever asks."""

from omegaconf import OmegaConf

from rnnexp.schema.config import plain_config, with_schema
from rnnexp.schema.validation import problems


def own(compose, **values):
    """Returns a configuration whose optimizer is a class that rnnexp has no schema of."""
    config = plain_config(compose("train.epochs=1"))
    config["optim"] = {"_target_": "torch.optim.SGD", "learning": 1}
    cfg = with_schema(config)
    for key, value in values.items():
        OmegaConf.update(cfg, key, value)
    return cfg


def test_a_key_that_an_own_class_lacks_is_told_beside_a_value_out_of_range(compose):
    lines = problems(own(compose, **{"train.epochs": 0}), imports_known=False)
    assert [line.split()[0] for line in lines] == ["train.epochs", "optim.learning"]


def test_a_value_that_leads_nowhere_has_its_line_and_no_traceback(compose):
    lines = problems(own(compose, **{"train.epochs": "${nowhere}"}))
    assert len(lines) == 1
    assert lines[0].startswith("train.epochs: ")
