"""Our stream to a token file against bare tiktoken in one thread, on the same text in one run.

    python tests/benchmarks/tokenizing.py [TEXT_FILE]

Without a file it takes the source of Python's standard library. What counts is the ratio: how much
faster the whole way (read, decode, cut, encode on all cores, hash, write, sync) is than encoding
alone. The best of three rounds each, in turn, since other work on the machine comes and goes; the
ratio of processor time does not depend on it, nor on the number of cores.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from simplegpt.data import __main__ as data
from simplegpt.data import corpus
from simplegpt.data.tokenizer import load_tokenizer
from simplegpt.progress import format_bytes


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else corpus.fetch("python-stdlib")
    text = path.read_bytes().decode()
    tokenizer = load_tokenizer("gpt2")
    bare, ours, bare_cpu, ours_cpu = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        words = ["--text_file", str(path), "--output_file", f"{folder}/a.bin", "--overwrite"]
        for _ in range(3):
            began, began_cpu = time.perf_counter(), time.process_time()
            tokenizer.encode_to_numpy(text)
            bare.append(time.perf_counter() - began)
            bare_cpu.append(time.process_time() - began_cpu)
            began, began_cpu = time.perf_counter(), time.process_time()
            data.main([*words, "--tokenizer_name", "gpt2"])
            ours.append(time.perf_counter() - began)
            ours_cpu.append(time.process_time() - began_cpu)
    size = path.stat().st_size
    print(f"{format_bytes(size)} on {os.cpu_count()} cores")
    print(f"bare tiktoken, one thread: {format_bytes(size / min(bare))}/s")
    print(f"to a token file:           {format_bytes(size / min(ours))}/s")
    print(f"ratio: {min(bare) / min(ours):.2f}")
    print(f"of processor time: {min(bare_cpu) / min(ours_cpu):.2f}")


if __name__ == "__main__":
    main()
