"""What stands outside the code and would break unseen: the image's recipe, links in documents, make targets."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
MAKEFILE = (PROJECT / "Makefile").read_text()
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])


def _copied() -> list[str]:
    return [
        source
        for line in DOCKERFILE.splitlines()
        if line.startswith("COPY ") and "--from=" not in line
        for source in line.split()[1:-1]
    ]


def test_the_image_copies_what_is_there_and_not_ignored() -> None:
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()

    assert {"operator", "pyproject.toml", "requirements.lock"} <= set(_copied())
    for source in _copied():
        assert (PROJECT / source).exists(), source
        assert f"!{source}" in ignored, source


def test_the_image_is_pinned_locked_and_not_root() -> None:
    assert re.search(r"^ARG BASE=python:3\.\d+\.\d+-slim", DOCKERFILE, re.MULTILINE)
    assert "--require-hashes" in DOCKERFILE
    assert re.search(r"^USER 65532:65532$", DOCKERFILE, re.MULTILINE)
    assert 'ENTRYPOINT ["spillway"]' in DOCKERFILE
    assert 'CMD ["run"]' in DOCKERFILE


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_have_hashes_and_no_address(lock: str) -> None:
    text = (PROJECT / lock).read_text()
    pins = re.findall(r"^[a-z0-9][a-z0-9._-]*(?:\[.+\])?==.*$", text, re.MULTILINE | re.IGNORECASE)

    assert pins
    assert all(pin.rstrip().endswith("\\") for pin in pins), "a pin without a hash"
    assert "://" not in text


def test_the_image_has_what_the_project_asks_for() -> None:
    wanted = re.search(
        r"^dependencies = \[(.*?)^\]", (PROJECT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL
    )
    assert wanted
    names = [*re.findall(r'"([a-z0-9-]+)', wanted[1]), "plotly"]
    locked = (PROJECT / "requirements.lock").read_text()

    assert "kopf" in names
    for name in names:
        assert re.search(rf"^{name}==", locked, re.MULTILINE), f"{name}: run `make lock`"


def test_relative_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document}: {target}"


def test_the_site_has_every_page_once() -> None:
    navigation = (PROJECT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    named = Counter(re.findall(r"[\w/.-]+\.md$", navigation, re.MULTILINE))
    pages = {path.relative_to(PROJECT / "docs").as_posix() for path in PROJECT.glob("docs/**/*.md")}

    assert set(named) == pages, "mkdocs.yml: write the page into the navigation"
    assert [page for page, count in named.items() if count > 1] == []


def test_the_index_lists_every_design_note_in_order() -> None:
    listed = re.findall(
        r"\]\((designs/.+?\.md)\)", (PROJECT / "docs/README.md").read_text().partition("## Design notes")[2]
    )

    assert listed == sorted(path.relative_to(PROJECT / "docs").as_posix() for path in PROJECT.glob("docs/designs/*.md"))


def test_the_page_about_examples_lists_each_of_them() -> None:
    listed = set(re.findall(r"\]\(\.\./\.\./(examples/.+?)\)", (PROJECT / "docs/reference/examples.md").read_text()))

    assert listed == {path.relative_to(PROJECT).as_posix() for path in PROJECT.glob("examples/**/*.yaml")}


def test_documents_name_only_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))

    assert {"demo", "test", "lint", "build", "bench-scaledown", "bench-admission", "bench-informer"} <= targets
    for document in DOCUMENTS:
        named = set(re.findall(r"(?:^\$ |`)make ([a-z-]+)", document.read_text(), re.MULTILINE))
        assert named <= targets, document


def test_the_writer_of_statuses_knows_none_of_the_features() -> None:
    linter = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [contract] = [one for one in linter["contracts"] if one.get("source_modules") == ["spillway.controllers.status"]]
    folders = {path.parent.name for path in (PROJECT / "operator/spillway/controllers").glob("*/__init__.py")}
    assert contract["forbidden_modules"] == [f"spillway.controllers.{name}" for name in sorted(folders - {"status"})]


def test_every_bench_target_has_its_script() -> None:
    benches = re.search(r"^BENCHES := (.*)$", MAKEFILE, re.MULTILINE)
    assert benches
    for name in benches[1].split():
        assert (PROJECT / "tests" / "bench" / f"bench_{name}.py").is_file(), name


def test_python_processes_of_make_keep_what_they_compile() -> None:
    asked = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "UV_DEFAULT_INDEX": "https://index.invalid"}
    command = ["make", "--no-print-directory", "--eval=shown: ; @env", "shown"]
    done = subprocess.run(command, cwd=PROJECT, env=asked, capture_output=True, text=True, timeout=60, check=True)

    variables = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert "PYTHONDONTWRITEBYTECODE" not in variables
    assert variables["PYTHONPYCACHEPREFIX"] == str(PROJECT / ".cache" / "pycache")


def test_the_same_sources_give_the_same_wheel(tmp_path: Path) -> None:
    sums = set()
    for name, seconds in (("a", 1_000_000_000), ("b", 1_500_000_000)):
        sources = tmp_path / name
        shutil.copytree(PROJECT / "operator", sources / "operator", ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(PROJECT / file, sources)
        for path in sources.rglob("*"):
            os.utime(path, (seconds, seconds))
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
        subprocess.run(command, cwd=sources, check=True, capture_output=True, timeout=120)
        [wheel] = (sources / "dist").glob("*.whl")
        sums.add(hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert len(sums) == 1


def test_the_ci_runs_what_make_test_runs() -> None:
    workflow = yaml.safe_load((PROJECT / ".github/workflows/test.yml").read_text())
    runs = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    script = PROJECT / ".ci/run"

    assert {"push", "pull_request"} <= set(workflow[True]), "YAML 1.1 reads the key `on` as true"
    assert runs == [".ci/run"]
    assert os.access(script, os.X_OK)
    assert re.search(r"^exec make test\b", script.read_text(), re.MULTILINE)
    [go] = re.findall(r"Go >= (\d+\.\d+)", MAKEFILE)
    assert go in [step.get("with", {}).get("go-version") for step in workflow["jobs"]["test"]["steps"]]


def test_the_templates_of_the_release_run_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    workflow = yaml.safe_load((PROJECT / ".github/workflows/release.yml").read_text())
    commands = "\n".join(step.get("run", "") for step in workflow["jobs"]["release"]["steps"])
    named = {name for line in re.findall(r"make ([a-z -]+)", commands) for name in line.split()}

    assert {"wheel", "sbom", "chart", "image-push", "check-release"} == named & targets
    for template in PROJECT.glob(".github/ISSUE_TEMPLATE/*.yml"):
        assert yaml.safe_load(template.read_text())


def test_the_project_and_its_chart_have_one_version() -> None:
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((PROJECT / "charts/spillway/Chart.yaml").read_text())

    assert (chart["version"], chart["appVersion"]) == (version, version)
