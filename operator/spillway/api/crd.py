"""The CustomResourceDefinitions and their reference pages, generated from the models.

`python -m spillway.api.crd [FOLDER ...]` writes the CRDs into the folders (default: `crds`), and the reference pages
into `docs/reference` (`--reference FOLDER`, empty for none). Contract: the same models give the same bytes; a test
compares them with the committed files.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from spillway.api import KINDS, Resource
from spillway.api.group import CATEGORY, GROUP, VERSION
from spillway.api.openapi import structural, without_rules
from spillway.api.reference import page

_HEADER = "# Generated from operator/spillway/api by `python -m spillway.api.crd`. Do not edit.\n"


def definition(kind: type[Resource]) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    schema = structural(kind)
    # The API server owns metadata; api version and kind are plain texts to it. A rule may point at the name.
    name = {"type": "string", "description": "Name of the object."}
    schema["properties"] |= {
        "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
        "kind": {"type": "string", "description": kind.__name__},
        "metadata": {"type": "object", "properties": {"name": name}},
        "status": without_rules(schema["properties"]["status"]),
    }
    columns = [
        {"name": name, "type": kind_of, "jsonPath": path, "description": text} | ({"priority": rank} if rank else {})
        for name, kind_of, path, rank, text in kind.columns
    ]
    columns.append({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": {
                "kind": kind.__name__,
                "listKind": f"{kind.__name__}List",
                "plural": kind.plural,
                "singular": kind.__name__.lower(),
                "shortNames": [kind.short_name],
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def manifests() -> Mapping[str, str]:
    """The YAML of each CRD by file name."""
    return {
        f"{GROUP}_{kind.plural}.yaml": _HEADER
        + yaml.dump(definition(kind), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
        for kind in KINDS
    }


def pages() -> Mapping[str, str]:
    """The Markdown of each kind's reference page by file name."""
    return {f"{kind.__name__.lower()}.md": page(definition(kind)) for kind in KINDS}


class _Dumper(yaml.SafeDumper):
    """A YAML dumper without anchors: repeated parts are written out, as Kubernetes tools expect."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - the signature is PyYAML's
        return True


def _write(folders: Iterable[Path], files: Mapping[str, str]) -> None:
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the CRDs and the reference pages."""
    parser = argparse.ArgumentParser(
        prog="python -m spillway.api.crd", description="Generate CRDs and reference pages."
    )
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("crds")], help="folders for the CRDs")
    parser.add_argument("--reference", default="docs/reference", help="folder for the reference pages, empty for none")
    options = parser.parse_args(arguments)
    _write(options.folders, manifests())
    if options.reference:
        _write([Path(options.reference)], pages())


if __name__ == "__main__":
    main()
