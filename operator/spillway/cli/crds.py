"""`spillway crds`: the CustomResourceDefinitions of this version."""

import typer


def crds() -> None:
    """Print the CustomResourceDefinitions as YAML, for `spillway crds | kubectl apply --server-side -f -`."""
    from spillway.api.crd import manifests  # noqa: PLC0415  # the models need not be built for `--help`

    typer.echo("---\n".join(manifests().values()), nl=False)
