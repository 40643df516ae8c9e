"""Builds the library of kernels for every platform into the engine's resources, the same bytes everywhere.

    python3 -m venv zig && zig/bin/pip install ziglang==0.17.1
    zig/bin/python engine/src/main/native/build.py

docs/releasing.md says when. --out FOLDER writes elsewhere.
"""

import hashlib
import importlib.metadata
import pathlib
import subprocess
import sys
import tempfile

ZIG = "0.17.1"
HERE = pathlib.Path(__file__).resolve().parent
RESOURCES = HERE.parent / "resources/nibble/engine/host/natives"

# The processors that each instruction set is compiled for.
X86 = {"avx2": "x86_64_v3", "avx512": "x86_64_v4+avx512vnni+avx512vbmi"}
AMX = "x86_64_v4+avx512vnni+avx512bf16+amx_tile+amx_bf16+amx_int8"
ARM = {"neon": "generic", "dotprod": "generic+dotprod"}
PLATFORMS = {
    "linux-x86_64": ("x86_64-linux-musl", X86, "libnibble.so", ["-Wl,-z,undefs"]),
    "linux-aarch64": ("aarch64-linux-musl", ARM, "libnibble.so", ["-Wl,-z,undefs"]),
    "macos-x86_64": ("x86_64-macos", X86, "libnibble.dylib", ["-install_name", "@rpath/libnibble.dylib"]),
    "macos-aarch64": ("aarch64-macos", ARM, "libnibble.dylib", ["-install_name", "@rpath/libnibble.dylib"]),
    "windows-x86_64": ("x86_64-windows-gnu", X86, "nibble.dll", ["-Wl,--entry=DllMainCRTStartup"]),
}
FLAGS = ["-O3", "-g0", "-std=c23", "-ffreestanding", "-fno-builtin", "-ffp-contract=off", "-fno-stack-protector",
         "-fno-sanitize=all", "-fvisibility=hidden", "-fPIC", "-Wall", "-Werror", "-Wno-psabi", "-Wno-unused-function",
         "-fno-unwind-tables", "-fno-asynchronous-unwind-tables", "-fno-ident"]


def sources():
    """The SHA-256 of all C sources, each as name, zero, bytes, zero, in order of their names."""
    digest = hashlib.sha256()
    for file in sorted(HERE.glob("*.[ch]"), key=lambda file: file.name):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def build(platform, out, scratch):
    """Names of files are relative to the scratch folder: some linkers write them into what they make."""
    target, sets, name, link = PLATFORMS[platform]

    def zig(processor, *arguments):
        compiler = [sys.executable, "-m", "ziglang", "cc", "-target", target, f"-mcpu={processor}"]
        # HotSpot has touched the next 80 KiB of the stack before a call, so that no kernel need probe its few KiB.
        probes = ["-mno-stack-arg-probe"] if name.endswith(".dll") and "-c" in arguments else []
        subprocess.run([*compiler, *probes, *arguments], cwd=scratch, check=True)

    baseline = "x86_64" if sets is X86 else "generic"
    objects = ["library.o"]
    zig(baseline, *FLAGS, f'-DSOURCES="{sources()}"', "-c", str(HERE / "library.c"), "-o", objects[0])
    for kernel_set, processor in sets.items():
        for way in "fp32", "int8":
            objects.append(f"{way}_{kernel_set}.o")
            zig(processor, *FLAGS, f"-DSET={kernel_set}", "-c", str(HERE / f"{way}.c"), "-o", objects[-1])
    if sets is X86:
        objects.append("avx2_bytes.o")
        zig(X86["avx2"], *FLAGS, "-c", str(HERE / "avx2_bytes.c"), "-o", objects[-1])
    if platform == "linux-x86_64":
        for source in "amx", "amx_bytes":
            objects.append(f"{source}.o")
            zig(AMX, *FLAGS, "-c", str(HERE / f"{source}.c"), "-o", objects[-1])
    zig(baseline, "-shared", "-nostdlib", "-s", *link, *objects, "-o", name)
    file = out / platform / name
    file.parent.mkdir(parents=True, exist_ok=True)
    made = bytearray((scratch / name).read_bytes())
    if name.endswith(".dll"):
        # The linker's only time: TimeDateStamp of the COFF header, 8 bytes behind its signature.
        header = int.from_bytes(made[0x3C:0x40], "little")
        made[header + 8 : header + 12] = bytes(4)
    file.write_bytes(made)
    print(f"{file}: {file.stat().st_size} bytes, {hashlib.sha256(file.read_bytes()).hexdigest()}")


def main():
    found = importlib.metadata.version("ziglang")
    if found != ZIG:
        sys.exit(f"ziglang {found} is installed, {ZIG} is needed")
    out = pathlib.Path(sys.argv[2]).resolve() if sys.argv[1:2] == ["--out"] else RESOURCES
    for platform in PLATFORMS:
        with tempfile.TemporaryDirectory() as scratch:
            build(platform, out, pathlib.Path(scratch))


if __name__ == "__main__":
    main()
