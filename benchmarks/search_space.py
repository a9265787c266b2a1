"""The search that search.py gives to every engine: the same space, budget, data and seeds' base."""

NUM_TRIALS = 20
EPOCHS = 27
FIXED = ["optim=adam", "data.limit=2000", "data.valid_size=2000", f"train.epochs={EPOCHS}"]
LR = (3e-4, 3e-2)
HIDDEN_SIZE = (32, 128)
BATCH_SIZES = (32, 64, 128)
CELLS = ("rnn", "gru", "lstm")
