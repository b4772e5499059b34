"""Renders every template into a folder, with the SDK beside it as `tripline plugin new` does, and builds it.

    python check.py FOLDER [LANG/KIND ...]

Needs `cargo build -p tripline-sdk-component` first. Toolchains are looked for in PATH; what is not there is passed over
and said. Prints size, time and imports of each.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

SDK = Path(__file__).resolve().parent
TOOL = SDK / "target" / "debug" / "component"
VALUES = {
    "name": "acme/sample",
    "package": "acme-sample",
    "module": "acme_sample",
    "type": "Sample",
    "description": "A sample plugin",
    "license": "Apache-2.0",
}
# Files of the SDK that a plugin needs, by language.
VENDORED = {"rust": ["rust/Cargo.toml", "rust/src"], "python": ["python/tripline_plugin"], "js": ["js/tripline-plugin.js"], "c": ["c/tripline.h"], "go": ["go/go.mod", "go/batch.go", "go/plugin.go", "go/realloc_wasip1.go", "go/detector", "go/enricher"]}


def render(template, folder):
    shutil.rmtree(folder, ignore_errors=True)
    for path in template.rglob("*"):
        if path.is_dir():
            continue
        to = folder / path.relative_to(template)
        to.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text()
        for name, value in VALUES.items():
            text = text.replace("{{" + name + "}}", value)
        to.write_text(text)
    language = template.parent.name
    for name in VENDORED.get(language, []):
        source, to = SDK / name, folder / ".tripline" / "sdk" / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, to) if source.is_dir() else shutil.copy(source, to)


def run(*command, folder):
    subprocess.run([str(part) for part in command], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def compiled(language, folder):
    """What the compiler gave: a module or a component."""
    if language == "rust":
        run("cargo", "build", "-q", "-j1", "--release", "--target", "wasm32-unknown-unknown", folder=folder)
        return folder / "target/wasm32-unknown-unknown/release/acme_sample.wasm"
    if language == "c":
        sources = ["plugin.c", *sorted(path.relative_to(folder) for path in folder.glob("bindings/*.c"))]
        zig = ["zig"] if shutil.which("zig") else ["python-zig"]
        flags = ["--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-s", "-I.tripline/sdk/c"]
        run(*zig, "cc", *flags, *sources, "-o", "module.wasm", folder=folder)
        return folder / "module.wasm"
    if language == "go":
        flags = ["-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", "module.wasm", "."]
        run("env", "GOOS=wasip1", "GOARCH=wasm", "go", "build", *flags, folder=folder)
        return folder / "module.wasm"
    run(TOOL, "wit", "-o", ".tripline/wit", folder=folder)
    if language == "python":
        path = [".", ".tripline/sdk/python"]
        path = [part for folder in path for part in ("-p", folder)]
        flags = ["--stub-wasi", "-o", "module.wasm", "app"]
        run("componentize-py", "-q", "-d", ".tripline/wit", "-w", "plugin", "componentize", *path, *flags, folder=folder)
    else:
        flags = ["--wit", ".tripline/wit", "-n", "plugin", "--js", "plugin.js", "--stub-wasi", "--sync", "--minify"]
        run("componentize-qjs", *flags, "-o", "module.wasm", folder=folder)
    return folder / "module.wasm"


NEEDS = {"rust": "cargo", "c": "python-zig", "go": "go", "python": "componentize-py", "js": "componentize-qjs"}


def main():
    out = Path(sys.argv[1]).resolve()
    wanted = sys.argv[2:]
    failed = False
    for template in sorted((SDK / "templates").glob("*/*")):
        language, kind = template.parent.name, template.name
        name = f"{language}/{kind}"
        if wanted and name not in wanted:
            continue
        if not shutil.which(NEEDS[language]) and not (language == "c" and shutil.which("zig")):
            print(f"{name}: skipped, `{NEEDS[language]}` is not there")
            continue
        folder = out / language / kind
        render(template, folder)
        start = time.monotonic()
        try:
            module = compiled(language, folder)
            command = [TOOL, "build", module, "-o", folder / "plugin.wasm"]
            shown = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
        except subprocess.CalledProcessError as error:
            failed = True
            print(f"{name}: {error}\n{error.stderr or ''}")
            continue
        took = time.monotonic() - start
        print(f"{name}: {took:.1f} s, " + ", ".join(shown.splitlines()[:2]))
    sys.exit(failed)


if __name__ == "__main__":
    main()
