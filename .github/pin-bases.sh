#!/usr/bin/env bash
# Write the digest behind each tag into the FROM lines of a Dockerfile: name:tag becomes name:tag@sha256:...
# Needs docker buildx, which asks the registries. A line that has a digest is left as it is, unless RENEW=1: then all get
# the digests that their tags have now.
set -euo pipefail

dockerfile=${1:-Dockerfile}

if [ "${RENEW:-}" = 1 ]; then
  sed -Ei '/^FROM /s/@sha256:[0-9a-f]{64}//' "$dockerfile"
fi

{ grep -E '^FROM [^@ ]+:[^@ ]+( |$)' "$dockerfile" || true; } | cut -d' ' -f2 | sort -u | while read -r base; do
  digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$base")
  [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "$base: no digest, but: $digest" >&2; exit 1; }
  sed -i "s|^FROM $base|FROM $base@$digest|" "$dockerfile"
  echo "$base@$digest"
done

# What is not pinned by now has no tag, or is another stage's name.
if grep -E '^FROM ' "$dockerfile" | grep -vE '@sha256:[0-9a-f]{64}( |$)' >&2; then
  echo "$dockerfile: the lines above are not pinned" >&2
  exit 1
fi
