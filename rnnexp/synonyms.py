"""What other tools call things that have another name here, for the hint in an error's line."""

from __future__ import annotations

import re

# word: what it may mean, of which the first that is among the allowed words counts
SYNONYMS: dict[str, tuple[str, ...]] = {
    "amp": ("precision",),
    "arch": ("model",),
    "bayes": ("tpe",),
    "bayesian": ("tpe",),
    "bo": ("tpe",),
    "bs": ("batch_size",),
    "clip": ("clip_norm",),
    "dataset": ("data",),
    "early_stopping": ("patience",),
    "evolution": ("nsgaii", "cmaes"),
    "fashion": ("fashion_mnist",),
    "float32": ("fp32",),
    "bfloat16": ("bf16",),
    "gaussian": ("gp",),
    "gpu": ("cuda",),
    "grad_clip": ("clip_norm",),
    "gradient_clip_val": ("clip_norm",),
    "halving": ("asha",),
    "hidden": ("hidden_size",),
    "hidden_dim": ("hidden_size",),
    "hidden_units": ("hidden_size",),
    "layers": ("num_layers",),
    "learning_rate": ("lr",),
    "lr_scheduler": ("schedule",),
    "max_epochs": ("epochs",),
    "mixed_precision": ("precision",),
    "n_epochs": ("epochs",),
    "n_jobs": ("workers",),
    "n_layers": ("num_layers",),
    "network": ("model",),
    "num_epochs": ("epochs",),
    "num_trials": ("n_trials",),
    "num_workers": ("workers",),
    "optimizer": ("optim",),
    "pruner": ("hydra/sweeper/pruner",),
    "random_state": ("seed",),
    "run_name": ("name",),
    "sampler": ("hydra/sweeper/sampler",),
    "scheduler": ("schedule",),
    "sobol": ("qmc",),
    "trials": ("n_trials",),
    "units": ("hidden_size",),
    "wd": ("weight_decay",),
}
NOTES = {  # options that are not there, and how to have them
    "optim=adamw": "type optim=adam optim.decoupled_weight_decay=true",
    "optim=rmsprop": "torch.optim.RMSprop is one YAML file away, --config-dir",
    "hydra/sweeper/sampler=bayes": "Bayesian optimization: tpe or gp",
    "hydra/sweeper/sampler=bayesian": "Bayesian optimization: tpe or gp",
}
# functions of other tools, in Hydra's grammar: {0}, {1} ... are the arguments
DISTRIBUTIONS = {
    "uniform": "interval({0},{1})",
    "loguniform": "tag(log,interval({0},{1}))",
    "quniform": "tag(step:{2},interval({0},{1}))",
    "randint": "int(interval({0},{1}))",
    "lograndint": "tag(log,int(interval({0},{1})))",
    "qrandint": "tag(step:{2},int(interval({0},{1})))",
    "categorical": "choice({all})",
    "choice": "choice({all})",
}
ALIASES = {
    "float": "uniform",
    "suggest_float": "uniform",
    "suggest_uniform": "uniform",
    "log_uniform": "loguniform",
    "log": "loguniform",
    "reciprocal": "loguniform",
    "suggest_loguniform": "loguniform",
    "int_uniform": "randint",
    "suggest_int": "randint",
    "log_int": "lograndint",
    "discrete_uniform": "quniform",
    "choices": "categorical",
    "suggest_categorical": "categorical",
    "oneof": "categorical",
}
CALL = re.compile(r"(?P<key>[^=]+)=(?:\w+\.)*(?P<name>\w+)\s*[(\[]+(?P<arguments>[^()\[\]]*)[)\]]+")


def spelling(text: str) -> str | None:
    """Returns an override in Hydra's grammar that has another tool's distribution, or letters without their quotes.

    None if it has neither.
    """
    key, separator, value = text.partition("=")
    if separator and not value.isascii() and "'" not in value:
        return f"\"{key}='{value}'\""
    if (call := CALL.fullmatch(text.strip())) is None:
        return None
    name = call["name"].lower()
    arguments = [part.strip() for part in call["arguments"].split(",") if part.strip()]
    if "log=true" in [part.replace(" ", "").lower() for part in arguments]:  # suggest_float(1e-4, 1, log=True)
        name = {"randint": "lograndint"}.get(ALIASES.get(name, name), "loguniform")
        arguments = [part for part in arguments if "=" not in part]
    template = DISTRIBUTIONS.get(ALIASES.get(name, name))
    if template is None:
        return None
    try:
        return f"{call['key']}={template.format(*arguments, all=','.join(arguments))}"
    except IndexError:  # it lacks an end
        return f"{call['key']}={template.format('LOW', 'HIGH', 'STEP')}"
