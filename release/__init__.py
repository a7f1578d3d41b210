"""What a release consists of, built from a checkout; a CI job runs these modules and uploads what they write."""
