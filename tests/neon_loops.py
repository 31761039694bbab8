#!/usr/bin/env python3
"""neon_loops.py [cc] - the inner loops of attention's products on NEON, as an ARM compiler writes them and llvm-mca
times them: nothing goes to the stack, and nothing but multiply-adds is waited for (0.95 of the processor's limit).
No ARM machine is needed; what is shown is the loop, not the memory. Last line: N passed, N failed."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

LOOPS = {'attn__rows3_neon': 72, 'attn__cols3_neon': 24}      # fused multiply-adds of a turn
LIMITS = {'cortex-a76': 1, 'apple-m1': 3}                      # of them a cycle, in llvm's models
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')


def inner_loops(text, name):
    if '\n' + name + ':' not in text:
        return
    lines = text[text.index('\n' + name + ':'):]
    lines = lines[:lines.index('\n\t.size\t' + name)].split('\n')
    at = {line[:-1]: i for i, line in enumerate(lines) if re.match(r'\.L\w+:$', line)}
    loops = []
    for i, line in enumerate(lines):
        to = re.search(r'(\.L\w+)$', line)
        if line.startswith('\t') and to and at.get(to.group(1), i) < i:
            loops.append((at[to.group(1)], i))
    for a, b in loops:
        if not any((c, d) != (a, b) and a <= c and d <= b for c, d in loops):
            yield [x for x in lines[a:b + 1] if re.match(r'\t[^.]', x)]


def main():
    cc = sys.argv[1] if len(sys.argv) > 1 else 'aarch64-linux-gnu-gcc'
    for tool in (cc, 'llvm-mca'):
        if not shutil.which(tool):
            print(f'skipped neon-loops: no {tool} (apt-get install gcc-aarch64-linux-gnu llvm)')
            print('0 passed, 0 failed, 1 skipped')
            return 0
    with tempfile.TemporaryDirectory() as work:
        source, asm = os.path.join(work, 'attn.c'), os.path.join(work, 'attn.s')
        with open(source, 'w') as f:
            f.write('#define ATTN_IMPLEMENTATION\n#include "attn.h"\n')
        subprocess.run([cc, '-O2', '-I', TOP, '-S', source, '-o', asm], check=True)
        with open(asm) as f:
            text = f.read()
    passed = failed = 0
    for name, want in LOOPS.items():
        loops = [x for x in inner_loops(text, name) if sum('fmla' in y and '[' in y for y in x) == want]
        ok = len(loops) > 0
        print(f'{"ok     " if ok else "FAILED "} {name}: {len(loops)} loop of {want} fmla by lane')
        passed, failed = passed + ok, failed + (not ok)
        for body in loops:
            stack = sum('sp' in re.findall(r'\w+', x) for x in body)
            report = [f'{len(body)} instructions, {stack} with the stack']
            good = stack == 0
            for cpu, limit in LIMITS.items():
                out = subprocess.run(['llvm-mca', '-mtriple=aarch64', '-mcpu=' + cpu, '-iterations=200'],
                                     input='\n'.join(body) + '\n', capture_output=True, text=True, check=True).stdout
                rate = 200 * want / int(re.search(r'Total Cycles:\s+(\d+)', out).group(1))
                report.append(f'{rate:.2f} fmla a cycle of {limit} on {cpu}')
                good = good and rate >= 0.95 * limit
            print(f'{"ok     " if good else "FAILED "} {name}: {", ".join(report)}')
            passed, failed = passed + good, failed + (not good)
    print(f'{passed} passed, {failed} failed')
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
