"""torch's compiler isn't imported to train, and is there for who asks for it."""

import subprocess
import sys

from records import histories

TRAIN = """
import sys
from rnnexp.runner import run
from rnnexp.training import compiler
from hydra import compose, initialize_config_dir
from rnnexp.schema.config import register_schemas
from rnnexp.schema.tree import CONFIG_DIR
{before}
register_schemas()
with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
    run(compose("config", overrides=sys.argv[2:]), sys.argv[1])
print(sum(name.startswith("torch._dynamo.") for name in sys.modules))
"""
COMPILE = """
import sys
import torch
from rnnexp.training import compiler
compiler.put_off()
network = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(network.parameters(), lr=0.1)

def step():
    optimizer.zero_grad()
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()

step()
assert "torch._dynamo.eval_frame" not in sys.modules
left_alone = torch.optim.Optimizer.zero_grad.__wrapped__
assert left_alone.__dynamo_disable is left_alone
assert sys.modules["torch._dynamo"] is torch._dynamo

@torch.compiler.disable
def refused():
    return torch.compiler.is_compiling()

assert "torch._dynamo.eval_frame" in sys.modules
assert sys.modules["torch._dynamo"] is torch._dynamo
assert not hasattr(left_alone, "__dynamo_disable")
graphs = []
compiled = torch.compile(network, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
assert torch.equal(compiled(torch.ones(1, 2)), network(torch.ones(1, 2)))
assert len(graphs) == 1
assert torch.compile(lambda x: x + refused(), backend="eager")(torch.ones(1)) == 1
step()
assert left_alone.__dynamo_disable is not left_alone
"""


def output(program, *arguments):
    done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_training_leaves_the_compiler_out_and_no_bit_changes(tmp_path, small):
    assert output(TRAIN.format(before=""), tmp_path / "without", *small, "optim=adam")[-1] == "0"
    before = "compiler.put_off = lambda: None"
    assert int(output(TRAIN.format(before=before), tmp_path / "with", *small, "optim=adam")[-1]) > 50
    assert histories(tmp_path / "without") == histories(tmp_path / "with")


def test_whoever_compiles_gets_the_compiler_as_it_is():
    output(COMPILE)
