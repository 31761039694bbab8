#!/usr/bin/env python3
"""The rows of build/bench beside NumPy (OpenBLAS) and PyTorch, where they can be imported: same shapes and layouts.

    cc -O2 -I. bench/bench.c -o build/bench
    taskset -c 1 python3 bench/peers/peers.py [gemm] [softmax] [attention] [--isa NAME] [--threads N] [--seconds S]

Each room runs build/bench, then the peers, then build/bench again; the better of its two times counts. A peer's
factor is its time over ours: above 1 ours is faster, and "behind" marks a row where some peer is. Peers that cannot be
imported are named at the end. On AMD processors OpenBLAS is told OPENBLAS_CORETYPE=SkylakeX where AVX-512 is there:
left alone, or by an environment made for other ends, it may take AVX2 kernels. PyTorch multiplies by MKL, which gives
AMD processors its AVX2 kernels whatever it is told: its rates are those of AVX2.
"""
import argparse
import ctypes
import glob
import json
import os
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROOMS = ("gemm", "softmax", "attention")


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


def gemm_arrays(row, np):
    """a, as many b as do not fit a cache for the rows with few rows of a, and c."""
    m, n, k = row["dims"]
    rng = np.random.default_rng(1)
    stored = (n, k) if "b [n,k]" in row["variant"] else (k, n)
    first = rng.standard_normal(stored, dtype=np.float32)
    copies = [first] + [first.copy() for _ in range(5 if m < 64 and n >= 4096 else 0)]
    a = rng.standard_normal((m, k), dtype=np.float32)
    return a, copies, np.empty((m, n), np.float32), stored == (n, k)


def attention_arrays(row, np):
    """q, k, v as [1,H,N,D], of the layout and the numbers of the row, and the mask or bias [N,M] or None."""
    heads, queries, keys, dim = row["dims"]
    variant, rng = row["variant"], np.random.default_rng(1)

    def make(rows):
        if variant.startswith("rows"):
            return rng.standard_normal((1, rows, heads, dim), dtype=np.float32).transpose(0, 2, 1, 3)
        return rng.standard_normal((1, heads, rows, dim), dtype=np.float32)

    q, k, v = make(queries), make(keys), make(keys)
    if variant == "growing":
        q *= 20
        k *= (1 + 6 * np.arange(keys, dtype=np.float32) / keys)[None, None, :, None]
    if variant == "denormal":
        q, k, v = (x * np.float32(1e-39) for x in (q, k, v))
    mask = None
    if variant == "keep":
        mask = rng.standard_normal((queries, keys), dtype=np.float32) > -1
    if variant == "bias":
        mask = rng.standard_normal((queries, keys), dtype=np.float32)
    return q, k, v, mask


class NumPy:
    name = "NumPy"

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
        if row["op"] != "gemm":
            return None
        a, copies, c, transposed = gemm_arrays(row, self.np)
        turn = [0]

        def run():
            b = copies[turn[0] % len(copies)]
            turn[0] += 1
            self.np.matmul(a, b.T if transposed else b, out=c)
        return run


class Torch:
    name = "PyTorch"

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
        a, copies, c, transposed = gemm_arrays(row, self.np)
        a, c, copies = self.torch.from_numpy(a), self.torch.from_numpy(c), [self.torch.from_numpy(b) for b in copies]
        turn = [0]

        def run():
            b = copies[turn[0] % len(copies)]
            turn[0] += 1
            self.torch.matmul(a, b.t() if transposed else b, out=c)
        return run

    def softmax(self, row):
        x = self.torch.randn(*row["dims"])
        y = self.torch.empty_like(x)
        try:                                        # into y, as ours: a new result would be paid in page faults
            self.torch._softmax(x, -1, False, out=y)
            return lambda: self.torch._softmax(x, -1, False, out=y)
        except (AttributeError, TypeError):
            return lambda: self.torch.softmax(x, -1)

    def attention(self, row):
        q, k, v, mask = attention_arrays(row, self.np)
        q, k, v = (self.torch.from_numpy(x) for x in (q, k, v))
        mask = None if mask is None else self.torch.from_numpy(mask)
        causal = row["variant"] == "causal"
        sdpa = self.torch.nn.functional.scaled_dot_product_attention
        return lambda: sdpa(q, k, v, attn_mask=mask, is_causal=causal)


def bench(room, options):
    command = [options.bench, room, "--json", "--threads", str(options.threads), "--seconds", str(options.seconds)]
    command += ["--isa", options.isa] if options.isa else []
    command += ["--cpu-time"] if options.cpu_time else []
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def open_peers(threads):
    found, missing = [], []
    for kind in (NumPy, Torch):
        try:
            found.append(kind(threads))
        except ImportError as reason:
            missing.append("%s (%s)" % (kind.name, reason))
    return found, missing


def print_rooms(peers, options):
    """The table, row by row; returns the number of rows where a peer is faster."""
    clock, least = (time.process_time, 2e-3) if options.cpu_time else (time.perf_counter, 2e-5)
    behind = 0
    print("\n%-10s %-26s %-8s %3s %12s" % ("op", "shape", "isa", "thr", "attn.h ms"), end="")
    print("".join("%14s ms  factor" % p.name for p in peers))
    for room in options.rooms or ROOMS:
        rows, lines = bench(room, options)["rows"], []
        for row in rows:
            runs = [p.call(row) for p in peers]
            lines.append([timed(run, options.seconds, clock, least) if run else None for run in runs])
        for row, again, line in zip(rows, bench(room, options)["rows"], lines):
            ours = min(row["best_ms"], again["best_ms"])
            print("%-10s %-26s %-8s %3d %12.4f" % (row["op"], row["shape"], row["isa"], row["threads"], ours), end="")
            for t in line:
                print("%17s %7s" % ("-", "-") if t is None else "%17.4f %7.2f" % (t * 1e3, t * 1e3 / ours), end="")
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
    if options.cpu_time and options.threads > 1:
        parser.error("--cpu-time is for one thread")
    if not os.path.exists(options.bench):
        sys.exit("peers: no " + options.bench + "; build it: cc -O2 -I. bench/bench.c -o build/bench")
    head = json.loads(subprocess.run([options.bench, "maths", "--json", "--seconds", "0.01"]
                                     + (["--isa", options.isa] if options.isa else []),
                                     check=True, stdout=subprocess.PIPE).stdout)
    environment(head["isa"], options.threads)
    peers, missing = open_peers(options.threads)
    print("machine    %s\nattn.h     %s, isa %s" % (head["machine"], head["build"], head["isa"]))
    for p in peers:
        print("peer       " + p.text)
    behind = print_rooms(peers, options)
    print("\nmissing    " + (", ".join(missing) if missing else "none"))
    print("behind     %d rows" % behind)


if __name__ == "__main__":
    main()
