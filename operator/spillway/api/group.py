"""The API group of Spillway's kinds, apart from the models, which take long to import."""

from typing import Final

GROUP: Final = "spillway.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = "spillway.dev/v1alpha1"
CATEGORY: Final = "spillway"
