"""What other tools call things of a run that have another name here, for the hint in an error's line."""

from hydra_sweep.hints import SYNONYMS

SYNONYMS.update(
    {
        "amp": ("precision",),
        "arch": ("model",),
        "bs": ("batch_size",),
        "clip": ("clip_norm",),
        "dataset": ("data",),
        "early_stopping": ("patience",),
        "fashion": ("fashion_mnist",),
        "fp16": (),  # looks like bf16, which is another precision
        "float32": ("fp32",),
        "bfloat16": ("bf16",),
        "gpu": ("cuda",),
        "grad_clip": ("clip_norm",),
        "gradient_clip_val": ("clip_norm",),
        "hidden": ("hidden_size",),
        "hidden_dim": ("hidden_size",),
        "hidden_units": ("hidden_size",),
        "layers": ("num_layers",),
        "learning_rate": ("lr",),
        "lr_scheduler": ("schedule",),
        "max_epochs": ("epochs",),
        "mixed_precision": ("precision",),
        "n_epochs": ("epochs",),
        "n_layers": ("num_layers",),
        "network": ("model",),
        "num_epochs": ("epochs",),
        "optimizer": ("optim",),
        "random_state": ("seed",),
        "run_name": ("name",),
        "scheduler": ("schedule",),
        "units": ("hidden_size",),
        "wd": ("weight_decay",),
    }
)
NOTES = {  # options that are not there, and how to have them
    "optim=adamw": "type optim=adam optim.decoupled_weight_decay=true",
    "optim=rmsprop": "torch.optim.RMSprop is one YAML file away, --config-dir",
    "hydra/sweeper/sampler=bayes": "Bayesian optimization: tpe or gp",
    "hydra/sweeper/sampler=bayesian": "Bayesian optimization: tpe or gp",
}
