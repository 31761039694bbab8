"""The study notes' data and what PyTorch made of them, out of the conformance vectors (standard library only).

    python3 examples/python/notes.py data     > examples/data/notes.csv
    python3 examples/python/notes.py expected > tests/expected/regression_notes.txt
"""
import json
import struct
import sys

if sys.argv[1:] not in (["data"], ["expected"]):
    sys.stderr.write("usage: notes.py data | expected\n")
    sys.exit(2)

raw = open("tests/conformance/seeds.safetensors", "rb").read()
start = 8 + struct.unpack("<Q", raw[:8])[0]
header = json.loads(raw[8:start])


def tensor(name):
    first, last = header[name]["data_offsets"]
    return struct.unpack("<%df" % ((last - first) // 4), raw[start + first:start + last])


if sys.argv[1] == "data":
    print("# torch.manual_seed(0); u = torch.rand(50); noise = torch.normal(0, 0.5, (50,)): the numbers of "
          "the conformance")
    print("# case nw_dataset, written by: python3 examples/python/notes.py data")
    print("u,noise")
    for row in zip(tensor("nw_dataset/in0"), tensor("nw_dataset/in1")):
        print("%.9g,%.9g" % row)
else:
    print("# Conformance case nw_train (PyTorch): epoch, w after the step, loss before it; then the fit at "
          "x = 0, 0.1, .. 4.9")
    for epoch in range(5):
        print("epoch %d %.4f %.4f" % (epoch + 1, tensor("nw_train/out0")[epoch], tensor("nw_train/out1")[epoch]))
    for x, average, plain, trained in zip(tensor("nw_train/in3"), tensor("nw_average/out0"),
                                          tensor("nw_nonparametric/out0"), tensor("nw_train/out3")):
        print("fit %.1f %.4f %.4f %.4f" % (x, average, plain, trained))
