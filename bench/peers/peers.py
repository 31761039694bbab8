#!/usr/bin/env python3
"""The rows of build/bench beside NumPy (OpenBLAS), oneDNN, PyTorch, ONNX Runtime and OpenVINO, where they can be had.

    make peers-setup && make peers              # attention and decode; PEERS="gemm --cpu-time" chooses
    taskset -c 1 build/peers/bin/python bench/peers/peers.py [gemm] [softmax] [attention] [decode] [--isa NAME]

Same shapes and layouts, f32 arithmetic, one thread unless told. Each room runs build/bench, then the peers, then
build/bench again; the better of its two times counts. A peer's factor is its time over ours: above 1 ours is faster,
"behind" marks a row where some peer is. Peers that cannot be imported, and rows that one refused, are named at the end.

What a peer lacks is given to it in another form, made before the clock starts: a window, and causal where keys are
more than queries, as a bool mask; ALiBi as a float bias of every head; key heads that several heads share as copies
of them, in decode as so many queries of one head. ONNX Runtime runs the fastest of its operators that takes the row
(Attention, com.microsoft's MultiHeadAttention and, in decode, GroupQueryAttention, which also writes the new
token). With f16 and bf16 all of a peer's arrays have that type, and it may multiply in it. ONNX Runtime and OpenVINO
have b of a product as a constant, which they lay out for themselves before the clock starts; oneDNN is its sgemm
(Debian: libdnnl2), without bias. "-" is what a peer has no form of: softcap but for ONNX Runtime, packed sequences,
sinks, pages, rings, q8_0, q4_0.

On AMD processors OpenBLAS is told OPENBLAS_CORETYPE=SkylakeX where AVX-512 is there: left alone, or by an environment
made for other ends, it may take AVX2 kernels. PyTorch multiplies by MKL, which gives AMD processors its AVX2 kernels
whatever it is told: its rates are those of AVX2. ONNX Runtime and OpenVINO have no cap: --isa does not reach them.
"""
import argparse
import ctypes
import ctypes.util
import glob
import json
import os
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROOMS = ("gemm", "softmax", "attention", "decode")
COLD = 192 << 20            # bytes of k and v in turn, so that decode finds none in a cache


def environment(isa, threads):
    """Sets what NumPy and PyTorch read once, when they are imported; what was set before does not count."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    try:
        cpu = open("/proc/cpuinfo").read()
    except OSError:
        cpu = ""
    if isa == "avx2":
        wanted = {"OPENBLAS_CORETYPE": "Haswell", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2",
                  "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    elif isa.startswith("avx512"):
        wanted = {"ATEN_CPU_CAPABILITY": "avx512"}
        if "AuthenticAMD" in cpu and "avx512f" in cpu:
            wanted["OPENBLAS_CORETYPE"] = "SkylakeX"
    else:
        wanted = {}
    os.environ.pop("OPENBLAS_L2_SIZE", None)            # its own guess is better than a size set for another machine
    os.environ["NUMPY_MADVISE_HUGEPAGE"] = "0"          # the pages that build/bench has
    os.environ.update(wanted)


def timed(run, seconds, clock, least):
    """Best seconds of one call; a sample lasts at least `least` seconds."""
    run()
    calls = 1
    while True:
        t = clock()
        for _ in range(calls):
            run()
        t = clock() - t
        if t > least or calls > 1 << 20:
            break
        calls *= 2
    best, samples, start = t / calls, 0, clock()
    while samples < 3 or clock() - start < seconds:
        t = clock()
        for _ in range(calls):
            run()
        best = min(best, (clock() - t) / calls)
        samples += 1
    return best


def scores(row, np):
    """What softmax is given: [rows,cols]."""
    x = np.random.default_rng(1).standard_normal(row["dims"], dtype=np.float32)
    return x * (100 if "spread" in row["variant"] else 3)


class Product:
    """One row as arrays: a [m,k], bs (several, in turn, where m is small) [k,n] or [n,k], bias [n] or None, c [m,n]."""

    def __init__(self, row, np):
        (m, n, k), words, rng = row["dims"], row["variant"].split(), np.random.default_rng(1)
        self.type = next((t for t in ("f16", "bf16", "q8_0") if t in words), "f32")
        self.transposed, self.function = "[n,k]" in words, next((f for f in ("relu", "tanh") if f in words), None)
        normal = lambda *shape: rng.standard_normal(shape, dtype=np.float32)
        self.a, self.bias, b = normal(m, k), normal(n) if "bias" in words else None, normal(k, n)
        b = np.ascontiguousarray(b.T) if self.transposed else b
        self.bs = [b] + [b.copy() for _ in range(5 if m < 64 and n >= 4096 else 0)]
        self.c = np.zeros((m, n), np.float32)

    def constants(self, np):
        """b as [k,n], of the row's type."""
        kind = np.float16 if self.type == "f16" else np.float32
        return [np.ascontiguousarray(b.T if self.transposed else b, kind) for b in self.bs]


class Attention:
    """One row as arrays: q [1,H,N,D], k and v (several, to be used in turn), mask [N,M], [1,H,N,M] or None."""

    def __init__(self, row, np):
        self.np, self.rng = np, np.random.default_rng(1)
        self.heads, self.queries, self.keys, self.dim = row["dims"]
        self.text, words = row["variant"], row["variant"].split()
        self.decode, self.rows = row["op"] == "decode", "rows" in words
        self.kv = int(words[words.index("kv") + 1]) if "kv" in words else self.heads
        self.type = next((t for t in ("f16", "bf16", "q8_0", "q4_0") if t in words), "f32")
        self.causal = "causal" in words and self.queries == self.keys
        self.softcap = 30.0 if "softcap" in words else 0.0
        lacking = {"varlen", "sink", "page", "ring", "q8_0", "q4_0", "q4_1", "native", "lengths", "documents", "blocks",
                   "additive"}
        self.offered = not lacking & set(words) and row["status"] == "done"

    def normal(self, *shape):
        return self.rng.standard_normal(shape, dtype=self.np.float32)

    def make(self):
        np, each = self.np, 1 if self.decode else self.heads // self.kv
        heads, queries = (self.kv, self.heads // self.kv * self.queries) if self.decode else (self.heads, self.queries)

        def array(n, count):
            x = self.normal(1, n, count, self.dim).transpose(0, 2, 1, 3) if self.rows else \
                self.normal(1, count, n, self.dim)
            return x if self.type != "f16" else x.astype(np.float16)

        self.q, k, v = array(queries, heads), array(self.keys, self.kv), array(self.keys, self.kv)
        if "growing" in self.text:
            self.q *= 20
            k *= (1 + 6 * np.arange(self.keys, dtype=np.float32) / self.keys)[None, None, :, None]
        if "denormal" in self.text:
            self.q, k, v = (x * np.float32(1e-39) for x in (self.q, k, v))
        if each > 1:
            k, v = np.repeat(k, each, 1), np.repeat(v, each, 1)
        copies = -(-COLD // (2 * k.nbytes // (2 if self.type == "bf16" else 1))) if self.decode else 1
        self.kv_pairs = [(k, v)] + [(k.copy(), v.copy()) for _ in range(copies - 1)]
        self.mask = self.make_mask()
        return self

    def make_mask(self):
        np, n, m = self.np, self.queries, self.keys
        i, j = np.arange(n)[:, None] + (m - n), np.arange(m)[None, :]
        if "keep" in self.text:
            return self.normal(n, m) > -1
        if "bias" in self.text:
            return self.normal(n, m)
        if "window" in self.text:
            return (j <= i) & (j > i - 256)
        if "alibi" in self.text:
            slope = 2.0 ** (-8.0 * np.arange(1, self.heads + 1) / self.heads)
            return (-slope[:, None, None] * abs(i - j)).astype(np.float32)[None]
        return j <= i if "causal" in self.text and not self.causal else None


class NumPy:
    name, rooms = "NumPy", ("gemm",)

    def __init__(self, threads):
        import numpy
        self.np = numpy
        self.text = "NumPy %s, OpenBLAS kernels: %s" % (numpy.__version__, self.core())

    def core(self):
        """The kernels OpenBLAS took, asked of the library itself; "not known" where it is another BLAS."""
        folder = os.path.join(os.path.dirname(os.path.dirname(self.np.__file__)), "numpy.libs")
        for path in glob.glob(os.path.join(folder, "*openblas*")):
            library = ctypes.CDLL(path)
            for symbol in ("scipy_openblas_get_corename64_", "openblas_get_corename64_", "openblas_get_corename"):
                if hasattr(library, symbol):
                    ask = getattr(library, symbol)
                    ask.restype = ctypes.c_char_p
                    return ask().decode()
        return "not known"

    def call(self, row):
        np, p = self.np, Product(row, self.np)
        if p.type != "f32":
            return None

        def run(b):
            np.matmul(p.a, b.T if p.transposed else b, out=p.c)
            if p.bias is not None:
                np.add(p.c, p.bias, out=p.c)
                np.tanh(p.c, out=p.c) if p.function == "tanh" else np.maximum(p.c, 0, out=p.c)
        return in_turn(p.bs, run)


class OneDnn:
    name, rooms = "oneDNN", ("gemm",)

    def __init__(self, threads):
        import numpy
        self.np, self.library = numpy, ctypes.CDLL(ctypes.util.find_library("dnnl") or "libdnnl.so.2")

        class Version(ctypes.Structure):
            _fields_ = [("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int)]
        self.library.dnnl_version.restype = ctypes.POINTER(Version)
        v = self.library.dnnl_version().contents
        self.text = "oneDNN %d.%d.%d, sgemm" % (v.major, v.minor, v.patch)

    def call(self, row):
        p = Product(row, self.np)
        if p.type != "f32" or p.bias is not None:
            return None
        (m, n, k), big, real = row["dims"], ctypes.c_int64, ctypes.c_float
        at = lambda x: ctypes.c_void_p(x.ctypes.data)
        order = b"T" if p.transposed else b"N"

        def run(b):
            if self.library.dnnl_sgemm(ctypes.c_char(b"N"), ctypes.c_char(order), big(m), big(n), big(k), real(1),
                                       at(p.a), big(k), at(b), big(k if p.transposed else n), real(0), at(p.c), big(n)):
                raise RuntimeError("dnnl_sgemm failed")
        return in_turn(p.bs, run)


class Torch:
    name, rooms = "PyTorch", ROOMS

    def __init__(self, threads):
        import numpy
        import torch
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.np, self.torch = numpy, torch
        self.text = "PyTorch %s, %s" % (torch.__version__, torch.backends.cpu.get_cpu_capability())

    def call(self, row):
        return getattr(self, row["op"])(row)

    def gemm(self, row):
        torch, p = self.torch, Product(row, self.np)
        if p.type == "q8_0":
            return None
        kind = {"f16": torch.float16, "bf16": torch.bfloat16}.get(p.type, torch.float32)
        a, c = torch.from_numpy(p.a).to(kind), torch.from_numpy(p.c).to(kind)
        bias = None if p.bias is None else torch.from_numpy(p.bias)

        def run(b):
            if bias is None:
                torch.matmul(a, b, out=c)
            else:
                torch.addmm(bias, a, b, out=c)
                c.tanh_() if p.function == "tanh" else c.relu_()
        bs = [torch.from_numpy(b).to(kind) for b in p.bs]
        return in_turn([b.t() for b in bs] if p.transposed else bs, run)

    def softmax(self, row):
        x = self.torch.from_numpy(scores(row, self.np))
        y = self.torch.empty_like(x)
        try:                                        # into y, as ours: a new result would be paid in page faults
            self.torch._softmax(x, -1, False, out=y)
            return lambda: self.torch._softmax(x, -1, False, out=y)
        except (AttributeError, TypeError):
            return lambda: self.torch.softmax(x, -1)

    def attention(self, row):
        a = Attention(row, self.np)
        if not a.offered or a.softcap:
            return None
        a.make()
        torch, kind = self.torch, {"f16": self.torch.float16, "bf16": self.torch.bfloat16}.get(a.type)
        tensor = lambda x: torch.from_numpy(x).to(kind) if kind else torch.from_numpy(x)
        q, pairs = tensor(a.q), [(tensor(k), tensor(v)) for k, v in a.kv_pairs]
        mask = None if a.mask is None else torch.from_numpy(a.mask)
        sdpa = torch.nn.functional.scaled_dot_product_attention
        return in_turn(pairs, lambda pair: sdpa(q, pair[0], pair[1], attn_mask=mask, is_causal=a.causal))

    decode = attention


def in_turn(items, call):
    turn = [0]

    def run():
        call(items[turn[0] % len(items)])
        turn[0] += 1
    return run


class OnnxRuntime:
    name, rooms = "ONNX Runtime", ROOMS

    def __init__(self, threads):
        import numpy
        import onnx
        import onnxruntime
        self.np, self.onnx, self.ort, self.threads = numpy, onnx, onnxruntime, threads
        self.text = "ONNX Runtime %s" % onnxruntime.__version__

    def session(self, op, inputs, outputs, constants={}, then=(), **attributes):
        """A model of one operator; inputs and outputs: name -> array of its shape and type, in the operator's order.
        constants: the same for inputs that do not change; then: (op, a constant's name or None) each, on the result."""
        make, microsoft = self.onnx.helper, op in ("MultiHeadAttention", "GroupQueryAttention")
        info = lambda x: [make.make_tensor_value_info(n, make.np_dtype_to_tensor_dtype(y.dtype), y.shape)
                          for n, y in x.items() if n]
        taken = [n for n in constants if n not in [c for _, c in then]]
        results = ["r%d" % i for i in range(len(then))] + list(outputs)
        nodes = [make.make_node(op, [n if y is not None else "" for n, y in inputs.items()] + taken,
                                results[:1] if then else results, domain="com.microsoft" if microsoft else "",
                                **attributes)]
        for (after, constant), x, y in zip(then, results, results[1:]):
            nodes.append(make.make_node(after, [x] + ([constant] if constant else []), [y]))
        graph = make.make_graph(nodes, op, info({n: y for n, y in inputs.items() if y is not None}), info(outputs),
                                [self.onnx.numpy_helper.from_array(x, n) for n, x in constants.items()])
        model = make.make_model(graph, ir_version=10,
                                opset_imports=[make.make_opsetid("", 23), make.make_opsetid("com.microsoft", 1)])
        options = self.ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 4
        return self.ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def bound(self, session, inputs, outputs, shared=()):
        """Arrays bound once, so that no call copies one; shared: an output that is an input's memory."""
        binding, value = session.io_binding(), self.ort.OrtValue.ortvalue_from_numpy
        values = {n: value(x) for n, x in inputs.items() if x is not None}
        for name, x in values.items():
            binding.bind_ortvalue_input(name, x)
        for name, x in outputs.items():
            binding.bind_ortvalue_output(name, values[dict(shared)[name]] if name in dict(shared) else value(x))
        return binding

    def plain(self, a):
        shape = (1, a.q.shape[1], a.q.shape[2], a.dim)
        inputs = [{"q": a.q, "k": k, "v": v, "m": a.mask} for k, v in a.kv_pairs]
        out = {"o": self.np.empty(shape, a.q.dtype)}
        session = self.session("Attention", inputs[0], out, is_causal=int(a.causal), softcap=a.softcap)
        return session, [self.bound(session, x, out) for x in inputs]

    def multi_head(self, a):
        np, mask = self.np, a.mask
        flat = lambda x: np.ascontiguousarray(x.transpose(0, 2, 1, 3)).reshape(1, x.shape[2], -1)
        if mask is not None:
            mask = np.where(mask, np.float32(0), np.float32(-np.inf)) if mask.dtype == bool else mask
            mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
        inputs = [{"q": flat(a.q), "k": flat(k), "v": flat(v), "b": None, "p": None, "m": mask} for k, v in a.kv_pairs]
        out = {"o": np.empty_like(inputs[0]["q"])}
        session = self.session("MultiHeadAttention", inputs[0], out, num_heads=a.q.shape[1],
                               unidirectional=int(a.causal))
        return session, [self.bound(session, x, out) for x in inputs]

    def group_query(self, a):
        np, t = self.np, a.q.dtype
        new = lambda heads: np.zeros((1, 1, heads * a.dim), t)
        inputs = [{"q": a.q.reshape(1, 1, -1), "k": new(a.kv), "v": new(a.kv), "past_k": k, "past_v": v,
                   "last": np.array([a.keys - 1], np.int32), "total": np.array(a.keys, np.int32)}
                  for k, v in a.kv_pairs]
        out = {"o": new(a.heads), "new_k": a.kv_pairs[0][0], "new_v": a.kv_pairs[0][1]}
        session = self.session("GroupQueryAttention", inputs[0], out, num_heads=a.heads, kv_num_heads=a.kv)
        shared = (("new_k", "past_k"), ("new_v", "past_v"))
        return session, [self.bound(session, x, out, shared) for x in inputs]

    def gemm(self, row):
        p, then = Product(row, self.np), []
        if p.type in ("bf16", "q8_0"):
            return None
        bs = p.constants(self.np)
        given, out, bias = {"a": p.a.astype(bs[0].dtype)}, {"c": p.c.astype(bs[0].dtype)}, {}
        if p.bias is not None:
            then, bias = [("Add", "bias"), (p.function.capitalize(), None)], {"bias": p.bias}
        sessions = [self.session("MatMul", given, out, {"b": b, **bias}, then) for b in bs]
        return in_turn([(s, self.bound(s, given, out)) for s in sessions], lambda x: x[0].run_with_iobinding(x[1]))

    def softmax(self, row):
        x, y = ({n: scores(row, self.np)} for n in "xy")
        session = self.session("Softmax", x, y, axis=-1)
        return in_turn([self.bound(session, x, y)], session.run_with_iobinding)

    def call(self, row):
        return getattr(self, row["op"])(row)

    def attention(self, row):
        a = Attention(row, self.np)
        if not a.offered or a.type == "bf16":
            return None
        a.make()
        forms = [] if a.rows else [self.plain]
        forms += [] if a.softcap or a.decode and a.queries > 1 else [self.group_query if a.decode else self.multi_head]
        runs, reasons = [], []
        for form in forms:
            try:
                session, bindings = form(a)
                run = in_turn(bindings, session.run_with_iobinding)
                runs.append((timed(run, 0.05, time.process_time, 2e-3), run))
            except Exception as reason:             # what its check of shapes or types throws
                reasons.append("%s" % reason)
        if not runs:
            raise RuntimeError(reasons[0].splitlines()[0][:160])
        return min(runs, key=lambda x: x[0])[1]

    decode = attention


class OpenVino:
    name, rooms = "OpenVINO", ROOMS

    def __init__(self, threads):
        import numpy
        import openvino
        from openvino import opset13
        self.np, self.ov, self.op, self.core, self.threads = numpy, openvino, opset13, openvino.Core(), threads
        self.text = "OpenVINO %s" % openvino.__version__.split("-")[0]

    def call(self, row):
        return getattr(self, row["op"])(row)

    def compiled(self, result, parameters, f32):
        options = {"INFERENCE_NUM_THREADS": self.threads, "NUM_STREAMS": 1}
        if f32:
            options["INFERENCE_PRECISION_HINT"] = "f32"
        return self.core.compile_model(self.ov.Model([result], parameters), "CPU", options)

    def requests(self, compiled, arrays):
        """A call that runs on each list of arrays in turn."""
        requests, held = [], []
        for each in arrays:
            requests.append(compiled.create_infer_request())
            for i, x in enumerate(each):
                held.append((x, self.ov.Tensor(x, shared_memory=True)))     # a tensor does not keep its array alive
                requests[-1].set_input_tensor(i, held[-1][1])
        return in_turn(requests, lambda request, held=held: request.infer())

    def gemm(self, row):
        p, op = Product(row, self.np), self.op
        if p.type in ("bf16", "q8_0"):
            return None
        calls = []
        for b in p.constants(self.np):
            a = p.a.astype(b.dtype)
            given = op.parameter(list(a.shape), a.dtype)
            out = op.matmul(given, op.constant(b), False, False)
            if p.bias is not None:
                out = getattr(op, p.function)(op.add(out, op.constant(p.bias)))
            calls.append(self.requests(self.compiled(out, [given], p.type == "f32"), [[a]]))
        return in_turn(calls, lambda call: call())

    def softmax(self, row):
        x = scores(row, self.np)
        given = self.op.parameter(list(x.shape), x.dtype)
        return self.requests(self.compiled(self.op.softmax(given, 1), [given], True), [[x]])

    def attention(self, row):
        a = Attention(row, self.np)
        if not a.offered or a.softcap or a.type == "bf16":
            return None
        a.make()
        op = self.op
        given = lambda x: self.np.ascontiguousarray(x.transpose(0, 2, 1, 3)) if a.rows else x
        arrays = [a.q, a.kv_pairs[0][0], a.kv_pairs[0][1]] + ([] if a.mask is None else [a.mask])
        parameters = [op.parameter(list((given(x) if x.ndim == 4 else x).shape), x.dtype) for x in arrays]
        order = op.constant(self.np.array([0, 2, 1, 3]))
        inputs = [op.transpose(p, order) if a.rows else p for p in parameters[:3]] + parameters[3:]
        out = op.scaled_dot_product_attention(*inputs, causal=a.causal)
        compiled = self.compiled(op.transpose(out, order) if a.rows else out, parameters, a.type == "f32")
        return self.requests(compiled, [[given(a.q), given(k), given(v)] + arrays[3:] for k, v in a.kv_pairs])

    decode = attention


def bench(room, options):
    command = [options.bench, room, "--json", "--threads", str(options.threads), "--seconds", str(options.seconds)]
    command += ["--no-short"]
    command += ["--isa", options.isa] if options.isa else []
    command += ["--cpu-time"] if options.cpu_time else []
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def open_peers(rooms, threads):
    found, missing = [], []
    for kind in (NumPy, OneDnn, Torch, OnnxRuntime, OpenVino):
        if not set(kind.rooms) & set(rooms):
            continue
        try:
            found.append(kind(threads))
        except (ImportError, OSError) as reason:
            missing.append("%s (%s)" % (kind.name, reason))
    return found, missing


def measure(peer, row, options, refused):
    """Best seconds of the peer, or None."""
    clock, least = (time.process_time, 2e-3) if options.cpu_time else (time.perf_counter, 2e-5)
    if row["op"] not in peer.rooms:
        return None
    try:
        run = peer.call(row)
        return timed(run, options.seconds, clock, least) if run else None
    except (RuntimeError, ValueError, TypeError) as reason:
        why = str(reason).strip().splitlines()[0][:160]
        refused.append("%s: %s %s: %s" % (peer.name, row["op"], row["shape"], why))
        return None


def print_rooms(peers, options, refused):
    """The table, row by row; returns the number of rows where a peer is faster."""
    behind = 0
    print("\n%-10s %-37s %-8s %3s %12s" % ("op", "shape", "isa", "thr", "attn.h ms"), end="")
    print("".join("%16s ms  factor" % p.name for p in peers))
    for room in options.rooms:
        rows = bench(room, options)["rows"]
        lines = [[measure(p, row, options, refused) for p in peers] for row in rows]
        for row, again, line in zip(rows, bench(room, options)["rows"], lines):
            print("%-10s %-37s %-8s %3d" % (row["op"], row["shape"], row["isa"], row["threads"]), end="")
            if row["status"] != "done":
                print("%13s" % "not offered", flush=True)
                continue
            ours = min(row["best_ms"], again["best_ms"])
            print("%13.4f" % ours, end="")
            for t in line:
                print("%19s %7s" % ("-", "-") if t is None else "%19.4f %7.2f" % (t * 1e3, t * 1e3 / ours), end="")
            lost = any(t is not None and t * 1e3 < ours for t in line)
            behind += lost
            print("  behind" if lost else "", flush=True)
    return behind


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", nargs="*", metavar="room", help="of " + ", ".join(ROOMS) + "; default all")
    parser.add_argument("--isa", default="", help="cap for attn.h, and for the peers where they have such a switch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.3, help="time for each row and each program")
    parser.add_argument("--cpu-time", action="store_true", help="process time: one thread on a shared machine")
    parser.add_argument("--bench", default=os.path.join(TOP, "build", "bench"))
    options = parser.parse_args()
    if not set(options.rooms) <= set(ROOMS):
        parser.error("rooms are " + ", ".join(ROOMS))
    options.rooms = options.rooms or list(ROOMS)
    if options.cpu_time and options.threads > 1:
        parser.error("--cpu-time is for one thread")
    if not os.path.exists(options.bench):
        sys.exit("peers: no " + options.bench + "; build it: cc -O2 -I. bench/bench.c -o build/bench")
    head = json.loads(subprocess.run([options.bench, "maths", "--json", "--seconds", "0.01"]
                                     + (["--isa", options.isa] if options.isa else []),
                                     check=True, stdout=subprocess.PIPE).stdout)
    environment(head["isa"], options.threads)
    peers, missing = open_peers(options.rooms, options.threads)
    refused = []
    print("machine    %s\nattn.h     %s, isa %s" % (head["machine"], head["build"], head["isa"]))
    for p in peers:
        print("peer       " + p.text)
    print("time       " + ("of the process" if options.cpu_time else "wall"))
    behind = print_rooms(peers, options, refused)
    print("\nmissing    " + (", ".join(missing) if missing else "none"))
    for line in refused:
        print("refused    " + line)
    print("behind     %d rows" % behind)


if __name__ == "__main__":
    main()
